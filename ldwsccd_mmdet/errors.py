"""Errors that a user can mend: tools print them as one line, without a traceback."""

__all__ = [
    'CheckpointError',
    'ConfigError',
    'DatasetError',
    'ImageFileError',
    'InputError',
    'NonFiniteLossError',
    'NonFiniteWeightsError',
    'OperatorError',
    'ResultsError',
    'check_argument',
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


class NonFiniteWeightsError(InputError, FloatingPointError):
    """Weights are NaN or infinite: they are not saved, and the last checkpoint is untouched."""


class ResultsError(InputError):
    """Predictions cannot be read, or do not belong to the annotations they are measured on."""


class OperatorError(InputError, RuntimeError):
    """An operator of mmcv is missing or does not load; the message says how to get it."""


def check_argument(right: bool, key: str, expected: str, found: object, remedy: str = '') -> None:
    """Check an argument: all that are wrong are said in one sentence.

    Args:
        right: Whether the argument is as it should be.
        key: Its name, after that of the class or the config's key: ``'DSSDNeck.join'``.
        expected: What it may be: ``"'product' or 'sum'"``.
        found: What it is.
        remedy: What to do, where that does not go without saying.

    Raises:
        ConfigError: It is not right: ``KEY: expected EXPECTED, found FOUND; REMEDY``.
    """
    if not right:
        raise ConfigError(
            f'{key}: expected {expected}, found {found!r}' + (f'; {remedy}' if remedy else '')
        )
