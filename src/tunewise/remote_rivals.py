"""The rivals on another machine: what is sent to them, who has to agree to it, and how they are asked.

A run sends nothing of its own accord. Before anything that takes long it says what would go where, and asks
whoever started it; `pipeline.run` is handed that question as a `Consent`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from tunewise.approaches.base import Approach
from tunewise.approaches.names import remote_model
from tunewise.approaches.rivals import NUMBERS_OF_SHOTS, PromptSetup, Remote
from tunewise.approaches.shown import Shown
from tunewise.approaches.wordings import Wording
from tunewise.data.split import Split
from tunewise.decide.costs import cost_of_tokens
from tunewise.decide.wording import money
from tunewise.engines import RemoteSpec, open_remote_engine
from tunewise.errors import (
    ConsentError,
    EndpointError,
    ModelNotFoundError,
    RequestError,
    SpecError,
    TunewiseError,
)
from tunewise.evaluate.runner import Decoding, ScoredRun, run_approach
from tunewise.evaluate.selection import ROUNDS, PromptChoice, choose_prompts, plan_rounds
from tunewise.progress import Progress
from tunewise.records import ChatRequest, Example, Grammar, Message
from tunewise.run_spec import RunSpec
from tunewise.settings import Settings
from tunewise.store.run_folder import is_finished

if TYPE_CHECKING:
    from tunewise.engines.remote import RemoteEngine

MAX_TRIAL_CALLS = 3
"""For each model, of a question that holds nothing of the examples: whether it answers, before and after its
prompts are chosen, and whether it takes the schema of the answers."""
PASSING = (408, 409)
"""Refusals of the moment: the client has tried again already."""
TRIAL = Message("user", "Say OK.")
BYTES_PER_TOKEN = 4
"""Of English with the tokenizers of today, roughly; which one an endpoint has is not known."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a run would send to another machine."""

    url: str
    models: tuple[str, ...]
    max_calls: int
    """Without those that are made again as they failed."""
    validation_inputs: int
    test_inputs: int
    shots: int
    """Training examples, which are sent with their answers."""
    has_instruction: bool
    tells_form: bool
    """Whether prompts say what the training answers look like, in words that may repeat some of them."""
    has_schema: bool
    """Whether requests hold a JSON schema made from the training answers."""
    input_tokens: int
    """Roughly, if every call is made; so is what follows."""
    output_tokens: int
    cost: float | None
    """In `currency`; None where the price of a model's tokens is not known."""
    currency: str

    def describe(self) -> str:
        """One paragraph for whoever is asked."""
        parts = ["the instruction"] if self.has_instruction else []
        parts.append(
            f"the inputs of {self.validation_inputs} validation and {self.test_inputs} test examples"
        )
        parts.append(f"{self.shots} training examples with their answers")
        if self.tells_form:
            parts.append(
                "the form of all training answers in words, with labels or sample answers among them"
            )
        if self.has_schema:
            parts.append("a JSON schema made from the training answers")
        cost = "what that costs is not known (set TUNEWISE_PRICE_IN and TUNEWISE_PRICE_OUT)"
        if self.cost is not None:
            cost = f"about {money(self.cost, self.currency)}"
        return (
            f"{' and '.join(self.models)} at {self.url} would be sent {', '.join(parts[:-1])} and "
            f"{parts[-1]}, in at most {self.max_calls:,} calls: about {self.input_tokens:,} tokens to read "
            f"and {self.output_tokens:,} to write, {cost}"
        )


Consent = Callable[[Disclosure], bool]
"""Whether that may be sent. Asked at most once in a run, before anything is sent."""


def refuse(disclosure: Disclosure) -> bool:  # noqa: ARG001 - a consent's shape
    """Nothing may be sent: what holds where nobody was asked."""
    return False


def ask_consent(
    spec: RunSpec,
    split: Split,
    wordings: Sequence[Wording],
    out: Path,
    consent: Consent,
    settings: Settings,
    progress: Progress,
) -> None:
    """Have it agreed to that examples are sent, and see that the endpoint answers.

    Does nothing where no remote answers are missing in the run folder `out`. Raises `ConsentError` where it
    is not agreed to, `SpecError` for rows that it cannot take; and where it does not answer the trial
    question `EndpointError`, `ModelNotFoundError` or `RequestError`.
    """
    missing = [name for name in spec.remotes if not (_is_chosen(out, name) and _is_tested(out, name))]
    if not missing or spec.remote_url is None:
        return
    if split.test.has_tools or any(example.tools for example in (*split.train, *split.validation)):
        raise SpecError(f"{missing[0]} cannot be asked about rows with tools: leave it out of --approaches")
    disclosure = disclose(spec.remote_url, missing, split, wordings, out, settings)
    progress.say(disclosure.describe())
    if not consent(disclosure):
        raise ConsentError(
            f"nothing was sent to {spec.remote_url}, as nobody agreed to it: give --yes, or leave "
            f"{', '.join(missing)} out of --approaches"
        )
    for name in missing:
        with closing(open_remote(name, spec, settings)) as engine:
            _put_trial(engine)


def disclose(
    url: str, names: Sequence[str], split: Split, wordings: Sequence[Wording], out: Path, settings: Settings
) -> Disclosure:
    """What the remote approaches of these names would still be sent."""
    loads = {name: _measure_load(name, split, wordings, out) for name in names}
    prices = {name: settings.token_price(remote_model(name)) for name in names}
    costs = [
        cost_of_tokens(load.input_tokens, load.output_tokens, price)
        for name, load in loads.items()
        if (price := prices[name]) is not None
    ]
    return Disclosure(
        url=url,
        models=tuple(remote_model(name) for name in names),
        max_calls=sum(load.calls for load in loads.values()),
        validation_inputs=max(load.validation_inputs for load in loads.values()),
        test_inputs=len(split.test),
        shots=min(max(NUMBERS_OF_SHOTS), len(split.train)),
        has_instruction=any(w.instruction and not w.from_answers for w in wordings),
        tells_form=any(w.from_answers for w in wordings),
        has_schema=any(w.grammar is not None and w.grammar.kind == "json_schema" for w in wordings),
        input_tokens=round(sum(load.input_tokens for load in loads.values())),
        output_tokens=round(sum(load.output_tokens for load in loads.values())),
        cost=sum(costs) if len(costs) == len(names) else None,
        currency=settings.currency,
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """What one model is asked, at most."""

    calls: int
    validation_inputs: int
    input_tokens: float
    output_tokens: float


def _measure_load(name: str, split: Split, wordings: Sequence[Wording], out: Path) -> _Load:
    setups = list(Remote(name).setups(wordings))
    is_chosen = _is_chosen(out, name)
    rounds = [] if is_chosen else plan_rounds(len(setups), len(split.validation))
    longest_first = sorted((_prompt_tokens(setup, split.train) for setup in setups), reverse=True)
    asked = [(longest_first[:num_setups], num_examples) for num_setups, num_examples in rounds]
    asked.append((longest_first[:1], len(split.test)))
    calls = sum(len(prompts) * num_examples for prompts, num_examples in asked)
    return _Load(
        calls=calls + MAX_TRIAL_CALLS,
        validation_inputs=0 if is_chosen else min(ROUNDS[-1], len(split.validation)),
        input_tokens=sum(sum(prompts) * num_examples for prompts, num_examples in asked),
        output_tokens=calls * _tokens(example.answer for example in split.train),
    )


def _prompt_tokens(setup: PromptSetup, train: Sequence[Example]) -> float:
    """Of one call, on average."""
    question = _tokens("".join(turn.content for turn in example.turns) for example in train)
    answer = _tokens(example.answer for example in train)
    schema = "" if setup.grammar is None else setup.grammar.source
    instruction = len(((setup.instruction or "") + schema).encode()) / BYTES_PER_TOKEN
    return instruction + setup.num_shots * (question + answer) + question


def _tokens(texts: Iterable[str]) -> float:
    """Of one text, on average."""
    return fmean(len(text.encode()) for text in texts) / BYTES_PER_TOKEN


def _is_chosen(out: Path, name: str) -> bool:
    return is_finished(out, f"choose-prompts-{name}")


def _is_tested(out: Path, name: str) -> bool:
    return is_finished(out, f"test-{name}")


def open_remote(name: str, spec: RunSpec, settings: Settings) -> RemoteEngine:
    """The engine that asks the model of this remote approach. Close it when done."""
    assert spec.remote_url is not None
    return open_remote_engine(
        RemoteSpec(base_url=spec.remote_url, model=remote_model(name)), settings=settings
    )


def choose_remote_prompts(
    name: str,
    wordings: Sequence[Wording],
    shown: Shown,
    validation: Sequence[Example],
    engine: RemoteEngine,
    decoding: Decoding,
    metric: str,
    progress: Progress,
) -> PromptChoice:
    """As `choose_prompts`, with this model. Setups with a grammar that the endpoint refuses are left out.

    Raises as `ask_consent` where the endpoint is gone at the end: so is the reason to believe in the choice.
    """
    setups = list(Remote(name).setups(wordings))
    grammars = {setup.grammar for setup in setups if setup.grammar is not None}
    refused = {grammar for grammar in grammars if _is_refused(engine, grammar, name, progress)}
    taken = [setup for setup in setups if setup.grammar not in refused]
    choice = choose_prompts(taken, shown, validation, engine, decoding, metric, progress)
    _put_trial(engine)
    return choice


def ask_remote(
    rival: Approach,
    examples: Sequence[Example],
    engine: RemoteEngine,
    decoding: Decoding,
    progress: Progress,
) -> ScoredRun:
    """As `run_approach`. Raises `EndpointError` where every call failed, so that no such answers are kept."""
    run = run_approach(rival, examples, engine, decoding, progress)
    if all(score.status == "failed" for score in run.scores):
        raise EndpointError(
            f"every call of {rival.name} failed, the first as {run.scores[0].answer}; once that is mended, "
            "the same command goes on from here"
        )
    return run


def _is_refused(engine: RemoteEngine, grammar: Grammar, name: str, progress: Progress) -> bool:
    """Whether the endpoint says that it takes no such grammar. Where that is not clear, scores will tell."""
    try:
        _put_trial(engine, grammar)
    except (RequestError, ModelNotFoundError, EndpointError) as error:
        if _is_refusal(error):
            progress.say(f"{name}: no prompt with the form of the answers enforced is tried, as {error}")
            return True
        progress.say(f"{name}: whether it takes a schema is not known, and so it is tried, although {error}")
    return False


def _is_refusal(error: TunewiseError) -> bool:
    """Whether it is about what was asked (4xx), and not about when."""
    if isinstance(error, EndpointError):
        return error.status is not None and 400 <= error.status < 500 and error.status not in PASSING
    return True


def _put_trial(engine: RemoteEngine, grammar: Grammar | None = None) -> None:
    """Ask the model the trial question.

    Raises what goes wrong with it; so where the model reasons for longer than the answer has room.
    """
    request = ChatRequest(engine.base_id, (TRIAL,), max_tokens=16, grammar=grammar)
    # Unlike `generate`, this raises; a whole answer is asked for in the same way.
    for _ in engine.stream(request, whole=True):
        pass
