"""The command ``ldwsccd``: reads arguments, then loads what the chosen command needs.

It is a package beside ``ldwsccd_mmdet``, not in it. Importing ``ldwsccd_mmdet`` registers its
classes, as ``custom_imports`` of every config needs, and that loads torch and mmdet: seconds of
processor time. Python imports a package before any of its modules, so a command line inside it
could not answer ``--help`` without them. Nothing here loads either one before the arguments are
read, and nothing in ``ldwsccd_mmdet`` imports from here.
"""
