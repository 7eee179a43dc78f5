"""Every error that is the user's to mend, in one tree.

Each class is also the standard exception a Python caller would expect, so library users can catch
either. A `TunewiseError` reaches the terminal as one line and the API as an OpenAI error body;
anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path


class TunewiseError(Exception):
    """What happened, the value that caused it, and what to do about it, in one line."""

    exit_code = 1


class DataError(TunewiseError, ValueError):
    """The examples cannot be used as they are. Names the file, and the line where there is one."""

    def __init__(self, path: Path | str, problem: str, *, line: int | None = None) -> None:
        place = f"{path}" if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {problem}")
        self.path = Path(path)
        self.line = line
        self.problem = problem


class RequestError(TunewiseError, ValueError):
    """A request that no engine can answer as asked.

    `param` names the field and `code` the kind of problem, as the API reports them.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class OverloadedError(TunewiseError, RuntimeError):
    """As many requests wait already as the engine lets wait. The same request may be fine a moment later."""


class ModelNotFoundError(TunewiseError, LookupError):
    """No base, adapter or checkpoint goes by this id here."""


class ModelUnavailableError(TunewiseError, OSError):
    """The model is known, but its files are not on this machine and cannot be fetched."""


class EndpointError(TunewiseError, OSError):
    """A remote endpoint is out of reach, refuses us, or answers with something that is no answer.

    `status` is its answer's, where it understood what was asked.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConsentError(TunewiseError, PermissionError):
    """Examples would go to another machine, and nobody agreed to that."""


class SpecError(TunewiseError, ValueError):
    """A setting whose value makes no sense."""


class TrainingError(TunewiseError, RuntimeError):
    """Training cannot go on, such as when the loss is no longer a number.

    `best_step` is the step whose weights, the best so far, the model was left with; 0 where there are none.
    """

    def __init__(self, message: str, *, best_step: int = 0) -> None:
        super().__init__(message)
        self.best_step = best_step


class ExportError(TunewiseError, RuntimeError):
    """A model cannot be written in this format, or what was written does not answer as the model does."""


class RunFolderError(TunewiseError, OSError):
    """The run folder holds something else, is in use by another run, or cannot be written."""


class RunNotFoundError(TunewiseError, LookupError):
    """No run is recorded under this name."""
