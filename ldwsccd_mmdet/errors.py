"""Errors that a user can mend: tools print them as one line, without a traceback."""

__all__ = [
    'CheckpointError',
    'ConfigError',
    'DatasetError',
    'ImageFileError',
    'InputError',
    'NonFiniteLossError',
    'OperatorError',
    'ResultsError',
]


class InputError(ValueError):
    """Something given by the user is wrong; the message names it, and the remedy.

    Attributes:
        exit_code: What a command ends with after it has said the message in one line.
    """

    exit_code = 2


class ConfigError(InputError):
    """A setting is wrong: the message names the key, what was expected, found, and the remedy."""


class CheckpointError(InputError):
    """A checkpoint is missing, or may not be read."""


class DatasetError(InputError):
    """An annotation file, or the images it names, cannot be used."""


class ImageFileError(DatasetError):
    """One image file is missing, cut short or not an image."""


class NonFiniteLossError(InputError, FloatingPointError):
    """A loss is NaN or infinite: the message names which; the last checkpoint is untouched."""


class ResultsError(InputError):
    """Predictions cannot be read, or do not belong to the annotations they are measured on."""


class OperatorError(InputError, RuntimeError):
    """An operator of mmcv is missing or does not load; the message says how to get it."""
