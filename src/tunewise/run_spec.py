"""What a run, or a training alone, is asked to do: frozen, saved with it and compared when it is resumed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from tunewise.approaches.base import APPROACHES, ApproachName
from tunewise.approaches.names import CONTROLS, MODEL_IDS, REMOTE_NAME, TRAINED, WITH_DOCUMENTS, is_remote
from tunewise.data.reading import Reading
from tunewise.engines import EngineName
from tunewise.engines.remote_spec import check_url
from tunewise.errors import SpecError
from tunewise.evaluate.judge import check_judge
from tunewise.evaluate.metrics.own import file_of, names_function
from tunewise.models.embedded import EMBEDDED
from tunewise.models.ids import check_suffix
from tunewise.train.spec import TrainSpec

RemoteName = Annotated[str, StringConstraints(pattern=f"^{REMOTE_NAME}$")]
DECIDES_ONLY = frozenset({"force", "calls_per_month"})
"""Fields of a `RunSpec` that change nothing that is measured: with others, the same run is decided anew."""


class TuneSpec(BaseModel):
    """Everything that decides what `tunewise train` computes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """The user's file of examples."""
    reading: Reading = Reading()
    """How to read it."""
    base: str = EMBEDDED
    """`embedded`, a hub id or a folder."""
    group_key: str | None = None
    """A field of each row whose equal values must stay on one side of the split."""
    validation: Path | None = None
    """A file to validate on, in place of a part of `data`."""
    suffix: str = "tuned"
    """The part of the tuned model's id that its owner chooses."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Decides the split, the shots, the initial weights, the order of training and the resampling tests."""
    training: TrainSpec = TrainSpec()
    """How to train; its own seed is replaced by this run's."""

    @field_validator("suffix")
    @classmethod
    def _suffix_fits_an_id(cls, suffix: str) -> str:
        return check_suffix(suffix)

    @property
    def given_sides(self) -> dict[str, Path]:
        """The files set aside, by side."""
        return {"validation": self.validation} if self.validation else {}

    @property
    def other_files(self) -> dict[str, Path]:
        """What else is read, by name."""
        return {}

    @property
    def train_spec(self) -> TrainSpec:
        """`training` under this run's seed."""
        return self.training.model_copy(update={"seed": self.seed})


class RunSpec(TuneSpec):
    """Everything that decides what `tunewise run` computes."""

    # Inputs are hidden in errors because someone may have typed a password into the URL.
    model_config = ConfigDict(hide_input_in_errors=True)

    engine: EngineName = "local"
    """What asks the models; training is always tunewise's own."""
    instructions: str | None = None
    """The instruction to prompt with, in place of the data's own system messages."""
    docs: Path | None = None
    """A file or folder of documents to look things up in."""
    approaches: tuple[ApproachName | RemoteName, ...] = ()
    """Which rivals run; by default all but controls, those that need documents only if there are any.

    `remote:MODEL`, never there by default, asks a model of the endpoint at `remote_url`."""
    remote_url: str | None = None
    """An OpenAI-compatible endpoint, such as `https://api.openai.com/v1`; None where no rival is remote.

    A slash at its end makes no difference, and is dropped."""
    test: Path | None = None
    """A file to test on, in place of a part of `data`."""
    metric: str | None = None
    """The primary metric, by its name or as `module.py:function`, in place of the one that fits the data."""
    judge: str | None = None
    """A model that compares the trained models' answers with the best prompt's; it decides nothing.

    A tuned model's `ft:` id, or a base as in `base`."""
    calls_per_month: float | None = Field(None, gt=0, allow_inf_nan=False)
    """How often the model will be asked; None leaves savings out of the verdict."""
    max_minutes: float | None = Field(None, gt=0, allow_inf_nan=False)
    """What does not fit into this time is left out; see `time_plan`. None takes the time that it takes."""
    force: bool = False
    """Deploy the tuned model even if it did not win; recorded as such."""

    @field_validator("judge")
    @classmethod
    def _judge_is_on_this_machine(cls, judge: str | None) -> str | None:
        return judge and check_judge(judge)

    @model_validator(mode="after")
    def _approaches_have_what_they_need(self) -> Self:
        if self.approaches:
            check_documents(self.approaches, self.docs)
            object.__setattr__(self, "remote_url", check_endpoint(self.approaches, self.remote_url))
        else:
            left_out = CONTROLS if self.docs else CONTROLS | WITH_DOCUMENTS
            chosen = tuple(name for name in APPROACHES if name not in left_out)
            object.__setattr__(self, "approaches", chosen)
            object.__setattr__(self, "remote_url", None)
        return self

    @property
    def own_system(self) -> bool | None:
        """Whether system messages are inputs: not where `instructions` stand for them, else as they vary."""
        return None if self.instructions is None else False

    @property
    def remotes(self) -> tuple[str, ...]:
        """The approaches that ask another machine."""
        return tuple(name for name in self.approaches if is_remote(name))

    @property
    def given_sides(self) -> dict[str, Path]:
        """The files set aside, by side."""
        return super().given_sides | ({"test": self.test} if self.test else {})

    @property
    def other_files(self) -> dict[str, Path]:
        """The documents, and the file that the user's own metric is in."""
        files = {"docs": self.docs} if self.docs else {}
        if self.metric and names_function(self.metric):
            files["metric_code"] = file_of(self.metric)
        return files


def check_documents(approaches: Iterable[str], docs: Path | None) -> None:
    """Raise `SpecError` where one of `approaches` needs documents and there are none."""
    if docs is None and (lacking := sorted(WITH_DOCUMENTS.intersection(approaches))):
        raise SpecError(f"{', '.join(lacking)} needs documents: give them with --docs")


def check_endpoint(approaches: Iterable[str], remote_url: str | None) -> str | None:
    """The endpoint's address without a slash at its end; None where no approach is remote.

    Raises `SpecError` where one is, and `remote_url` is no address of an endpoint.
    """
    remotes = ", ".join(filter(is_remote, approaches))
    if not remotes:
        return None
    if remote_url is None:
        raise SpecError(
            f"{remotes} needs an endpoint: set TUNEWISE_REMOTE_URL, such as https://api.openai.com/v1"
        )
    return check_url(remote_url, "TUNEWISE_REMOTE_URL")


def parse_approaches(text: str, docs: Path | None = None, remote_url: str | None = None) -> tuple[str, ...]:
    """`a,b,c` of the command line, in the order they run.

    Raises `SpecError` that names an unknown one, one that needs documents without `docs`, or one that needs
    an endpoint without `remote_url`.
    """
    asked = dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
    if unnamed := next((n for n in asked if n.startswith("remote:") and not is_remote(n)), None):
        raise SpecError(f"{unnamed[:60]!r} names no model: give remote:MODEL, where MODEL is {MODEL_IDS}")
    unknown = sorted(name for name in asked if name not in APPROACHES and not is_remote(name))
    if unknown or not asked:
        raise SpecError(
            f"unknown approach {', '.join(unknown) or text!r}: choose from {', '.join(APPROACHES)}, "
            "remote:MODEL"
        )
    last = {*TRAINED, *CONTROLS}
    order = (
        *(name for name in APPROACHES if name not in last),
        *filter(is_remote, asked),
        *(name for name in APPROACHES if name in last),
    )
    approaches = tuple(name for name in order if name in asked)
    check_documents(approaches, docs)
    check_endpoint(approaches, remote_url)
    return approaches
