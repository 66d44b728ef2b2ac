"""Get data ready: checks, converters, weak labels, drawn and composed sets."""
