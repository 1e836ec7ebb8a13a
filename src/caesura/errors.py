"""Errors a user can act on: each says what we got, what we need, and what to do."""


class CaesuraError(Exception):
    """Base of all errors that caesura raises on purpose; the command line prints them bare."""


class DataError(CaesuraError, ValueError):
    """The data cannot be read as series: a missing column, a wrong type, no observations."""


class NothingMeasuredError(DataError):
    """The data can be read, and no row of them has a finite time and value.

    report: what was dropped (`data.store.DoorReport`), where it is known.
    """

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class RecipeError(CaesuraError, ValueError):
    """A recipe or setting is wrong: an unknown key, an impossible combination."""


class CheckpointError(CaesuraError, RuntimeError):
    """A run folder is incomplete, damaged, or lacks the part a task needs."""


class DivergedError(CaesuraError, RuntimeError):
    """The training loss stopped being a finite number."""


class StoppedError(CaesuraError):
    """Training was interrupted; the state is saved and `--resume` continues it."""


class StorageError(CaesuraError):
    """A disk refused to write, or another process holds the folder."""


class ExportError(CaesuraError, RuntimeError):
    """A run cannot be exported, or the exported graph does not do as the run does."""
