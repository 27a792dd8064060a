"""Errors that tell the user, in one sentence, what is wrong and what to do."""


class LabError(Exception):
    """Any error whose message is written for the user; the command line shows it as it is."""


class InputError(LabError, ValueError):
    """A setting, name or file content that the lab cannot use."""


class DatasetMissingError(LabError, FileNotFoundError):
    """A dataset that is nowhere to be had."""


class RunError(LabError, ValueError):
    """A run that cannot be read, or an epoch, layer or array that it does not hold."""


class StoreError(LabError, RuntimeError):
    """A store that cannot be written to."""


class RunBusyError(StoreError):
    """A run that another process is writing."""
