"""The frozen records that cross stages. Reading this page is reading what each stage hands to the next.

Example -> Split -> TrainedTokens -> ParityCertificate
                 -> ChatRequest -> Completion -> Score -> ApproachResult -> Verdict -> ModelRecord
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
ModelState = Literal["candidate", "deployed", "rejected"]
ExportFormat = Literal["peft", "safetensors", "gguf"]
AnswerStatus = Literal["answered", "failed", "missing"]
Recommendation = Literal[
    "keep-prompting",
    "use-rag",
    "fine-tune",
    "fine-tune-and-rag",
    "collect-more-data",
    "fix-the-data",
    "inconclusive",
]
TRAINS: frozenset[Recommendation] = frozenset({"fine-tune", "fine-tune-and-rag"})
"""The recommendations to use a model that was trained."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that a model wants called."""

    id: str
    name: str
    arguments: str
    """A JSON object, as text."""


def write_answer(text: str, calls: Sequence[ToolCall]) -> str:
    """An answer as it is compared and shown: its text, or else what it calls, as one JSON object.

    The text beside a call and the id of a call are no part of what was asked for.
    """
    if not calls:
        return text
    try:
        called = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls]
        return json.dumps({"tool_calls": called}, ensure_ascii=False, sort_keys=True)
    except (ValueError, RecursionError):  # A model may write anything.
        return "\n".join([text, *(f"{call.name}({call.arguments})" for call in calls)])


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `weight` 0 makes an assistant turn context only: no loss is taken on it."""

    role: Role
    content: str
    weight: int = 1
    tool_calls: tuple[ToolCall, ...] = ()
    """What an assistant turn calls, after its text."""
    tool_call_id: str | None = None
    """The call whose result a turn of role `tool` gives."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask to have called."""

    name: str
    """Letters, digits, `_` and `-`."""
    parameters: str = '{"type": "object", "properties": {}, "additionalProperties": false}'
    """The JSON schema, as text, of the object that holds its arguments; none by default."""
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One usable row of the user's file: a conversation whose last turn is the expected answer."""

    id: str
    """Content hash (16 hexadecimal digits): the same conversation has the same id in every file."""
    messages: tuple[Message, ...]
    line: int
    """The line of the file it came from, counted from 1."""
    group: str
    """Examples of one group always fall on the same side of a split."""
    tools: tuple[Tool, ...] = ()
    """The functions that the answers may call."""
    parallel_tool_calls: bool = True
    """Whether there may be more than one call in an answer."""
    own_system: bool = False
    """Whether its system message is a part of the input, because the file's rows have different ones."""

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything before the expected answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The expected answer, as `write_answer` writes it."""
        return write_answer(self.messages[-1].content, self.messages[-1].tool_calls)

    @property
    def instruction(self) -> str | None:
        """The row's own system message, if it opens with one."""
        first = self.messages[0]
        return first.content if first.role == "system" else None

    @property
    def turns(self) -> tuple[Message, ...]:
        """The input: what the end user typed, the answers before, and the system message if it is a part."""
        return tuple(m for m in self.prompt if self.own_system or m.role != "system")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer has to look like, from its first character to its last."""

    kind: Literal["json_schema", "lark"]
    """`lark` is llguidance's dialect of it, which no remote endpoint takes."""
    source: str


JSON_OBJECT = Grammar("json_schema", '{"type": "object"}')


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question to a model, as every rival, the API and the chat command put it."""

    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None
    """None leaves it to the engine."""
    temperature: float = 0.0
    """0 is greedy decoding."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict, hash=False)
    """Added to the logits of these token ids."""
    top_logprobs: int | None = None
    """How many likeliest tokens to report beside each token's log probability; None reports neither."""
    grammar: Grammar | None = None
    """Of the text; calls follow the schemas of their functions instead."""
    tools: tuple[Tool, ...] = ()
    """The functions that the answer may call."""
    must_call: tuple[str, ...] = ()
    """The answer has to be a call of one of these functions; empty lets it be a text."""
    parallel_tool_calls: bool = True
    """Whether there may be more than one call."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and its natural-log probability under the model's own logits, before all that adjusts them."""

    bytes: bytes
    """UTF-8, maybe only a part of a character."""
    logprob: float
    top: tuple[TokenLogprob, ...] = ()
    """The likeliest tokens of that position, likeliest first."""

    @property
    def text(self) -> str:
        r"""The token as text, in which half a character is written as `\xe2\x82`."""
        return self.bytes.decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Completion:
    """An engine's answer to one `ChatRequest`. A failed request has `error` set and an empty text."""

    text: str
    finish_reason: Literal["stop", "length", "tool_calls", "error"]
    input_tokens: int
    output_tokens: int
    latency_ms: float
    """From when the engine began to work on it until its last token, beside the rest of its batch."""
    error: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    """The tokens of `text` and calls where the request set `top_logprobs`, without the end of turn."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Only whole ones: one that `max_tokens` cut is left out."""


@dataclass(frozen=True, slots=True)
class Score:
    """One line of `scores.jsonl`: how one approach did on one example.

    `status` keeps three things apart that are not a wrong answer: *failed* (an error), *missing* (never
    asked) and, inside `metrics`, *undefined* (None). A wrong answer is a metric of 0. A failed answer has
    None for the metrics by which it is no help, and leaves out those that are undefined for its example.
    """

    approach: str
    example_id: str
    group: str
    status: AnswerStatus
    answer: str
    expected: str
    metrics: dict[str, float | None]
    input_tokens: int
    output_tokens: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class RowTokens:
    """What one side, trainer or engine, makes of an example: its tokens and how likely it finds them."""

    example_id: str
    ids: tuple[int, ...]
    """The conversation without its system message, up to the end of the last answer's turn."""
    logprobs: tuple[float, ...]
    """Natural log, one per trained token (the answers of weight 1 and their ends of turn), in order."""


@dataclass(frozen=True, slots=True)
class TrainedTokens:
    """What the trainer, with the weights that it kept, makes of some validation rows."""

    precision: str
    """In which it computed: `float32`, `bfloat16`."""
    rows: tuple[RowTokens, ...]


@dataclass(frozen=True, slots=True)
class ParityCertificate:
    """Whether what is served is what was trained: trainer and engine, asked about the same rows."""

    precision: str
    """Of the coarser of the two computations: `float32`, `bfloat16`; it decides the tolerance."""
    rows: int
    tokens: int
    """Trained tokens that were compared one by one; those of rows whose ids differ cannot be."""
    ids_equal: bool
    max_difference: float | None
    """Absolute difference of log-probabilities, in nats; None when no token, or no number, was there."""
    mean_difference: float | None
    tolerance: float
    """What `max_difference` may be at most."""
    passed: bool


@dataclass(frozen=True, slots=True)
class Consistency:
    """How steady an approach's answers to the same validation inputs are. None is undefined."""

    agreement: float | None
    """Share of the pairs of repeated answers, at `temperature`, that say the same; undefined for texts."""
    spread: float | None
    """Between the best and the worst score over orders of the shots and layouts of the prompt, beyond what
    chance would give."""
    form_rate: float | None
    """Share of all those answers that kept the form."""
    raw_agreement: float | None
    """As `agreement`, of pairs that are equal to the letter."""
    inputs: int
    temperature: float
    """That of deployment."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95% interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What an endpoint charges for a million tokens, in the run's currency."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class ApproachResult:
    """One row of the table of rivals; scores are in 0..1 on the primary metric."""

    name: str
    score: float
    low: float
    high: float
    answered: int
    failed: int
    input_tokens_per_call: float
    output_tokens_per_call: float
    cost_per_1000_calls: float | None
    """None where it is not known: of an endpoint without token prices, or that counts no tokens."""


@dataclass(frozen=True, slots=True)
class SavedPerCall:
    """What a call of the tuned model saves, on average over the test set; negative where it takes more."""

    rival: str
    """The best prompt, which the tuned model stands in for."""
    input_tokens: float
    """Of the instruction and examples that need not be sent."""
    milliseconds: float
    """Of latency beside the rest of a batch. Each of the two was asked at a time of its own, so this also
    shows which of those times the machine was busier in; tokens are the same on any machine."""
    money: float | None
    """In the run's currency; None where what a call of the rival costs is not known."""


@dataclass(frozen=True, slots=True)
class Gain:
    """The paired gain over its rivals of the tuned model that a verdict is about.

    `estimate` and `high` are against the best untrained rival; `low` is the smallest lower end against
    any rival or floor, and `p_value` (two-sided) the largest, so that "better than every one of them" needs
    no correction (intersection-union test, Berger 1982).
    """

    estimate: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a verdict, tied to the numbers that support it."""

    code: str
    text: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verdict.json` holds, field for field."""

    recommendation: Recommendation
    headline: str
    primary_metric: str
    test_examples: int
    approaches: tuple[ApproachResult, ...]
    best_without_training: str | None
    gain: Gain | None
    reasons: tuple[Reason, ...]
    model: str | None
    """The tuned model that it is about: the one that won, or else the one that comes first."""
    deployed: bool
    currency: str
    training_cost: float
    """Of `model`."""
    break_even_calls: int | None
    """After how many calls `model` has paid for its training, against the best untrained rival. None if
    never; and where `gain` is None too, because there was nothing to compare."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A trained model as the registry knows it. Every one is callable by its id, whatever its state."""

    id: str
    """`ft:<base>:<org>:<suffix>:<id>`."""
    base: str
    """What `--base` was: `embedded`, a hub id or a folder."""
    path: str
    """The adapter folder."""
    state: ModelState
    state_reason: str
    run: str
    """The folder of the run that trained it."""
    created_at: int
    """Unix seconds."""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as the registry knows it; its files are in `path`."""

    path: str
    data: str
    base: str
    seed: int
    status: Literal["running", "interrupted", "failed", "done"]
    created_at: int
    finished_at: int | None = None
    recommendation: str | None = None
    headline: str | None = None
    model: str | None = None
