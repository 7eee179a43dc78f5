"""The parity certificate: what was trained is what is served (and what is exported, see `export/proof.py`).

The trainer notes, with the weights that it kept and the packed forward that trained them, the tokens of some
validation rows and how likely it finds them. Here the engine, which read the adapter back from disk, is asked
about the same rows. An adapter that was written wrongly or only partly, scaled otherwise, laid out by another
chat template or trained on packs that mix their rows shows as a difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tunewise.approaches.base import Approach
from tunewise.chat.template import ChatTemplateError
from tunewise.engines.base import Engine, Scorer
from tunewise.records import Example, ParityCertificate, RowTokens, TrainedTokens

TOLERANCES = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.5}
"""How far two log-probabilities of one token may lie apart, in nats, by the precision of the computation.

Both sides compute the same sums in another order, as rows are packed differently. In fp32 that made 4e-6
nats with the embedded model, and the mildest damage that was tried 1e-2 (`docs/log.md`): the tolerance lies
between, nearer to the damage, since larger models and longer rows round more. bf16 keeps 8 bits, so a logit
of 16 to 32 is itself only known to within 0.06, and errors add up over the layers: there only gross damage
(no adapter, another scale) shows in the log-probabilities, and any other template in the ids.

"float16" is a GGUF file in llama.cpp, which rounds the weights and what it multiplies them with. That made
4e-3 to 2e-2 nats; a scale off by a tenth made 0.4, a lost `down_proj` 0.2, but one lost `q_proj` only 4e-2.
"""


def certify_served(
    engine: Engine, tuned: Approach, examples: Sequence[Example], trained: TrainedTokens
) -> ParityCertificate:
    """Ask the engine about the rows that the trainer noted, in the words of the approach that is tested.

    `examples` holds at least those rows.
    """
    by_id = {example.id: example for example in examples}
    served = [serve_row(engine, tuned, by_id[row.example_id]) for row in trained.rows]
    return certify(trained, served, engine.precision)


def serve_row(engine: Scorer, tuned: Approach, example: Example) -> RowTokens:
    """What the engine makes of one example: each trained answer, after what stood before it.

    A chat template that refuses the example is not the one it was trained with: then there are no tokens.
    """
    turns = (*tuned.messages(example), example.messages[-1])
    ids: list[int] = []
    logprobs: list[float] = []
    try:
        for index, turn in enumerate(turns):
            if turn.role == "assistant" and turn.weight == 1:
                asked = tuned.model, turns[: index + 1], example.tools
                ids = engine.token_ids(*asked)
                logprobs += engine.score(*asked)
    except ChatTemplateError:
        return RowTokens(example.id, (), ())
    return RowTokens(example.id, tuple(ids), tuple(logprobs))


def certify(
    trained: TrainedTokens, served: Sequence[RowTokens], precision: str | None = None
) -> ParityCertificate:
    """Compare row by row; both sides have the same rows in the same order.

    `precision` is the engine's, if that is another than the trainer's; the coarser one is the comparison's.
    Passes only if every token id is the same and no difference is above the tolerance. Where there was
    nothing to compare, or what there was is no number, nothing is proven and it does not pass.
    """
    same = [_is_comparable(*pair) for pair in zip(trained.rows, served, strict=True)]
    differences = list(_differences(trained.rows, served))
    comparable = bool(differences) and all(map(math.isfinite, differences))
    largest = max(differences) if comparable else None
    coarser = max(trained.precision, precision or trained.precision, key=_tolerance)
    tolerance = _tolerance(coarser)
    return ParityCertificate(
        precision=coarser,
        rows=len(trained.rows),
        tokens=len(differences),
        ids_equal=all(same),
        max_difference=largest,
        mean_difference=math.fsum(differences) / len(differences) if comparable else None,
        tolerance=tolerance,
        passed=all(same) and largest is not None and largest <= tolerance,
    )


def describe(certificate: ParityCertificate) -> str:
    """One line for the terminal."""
    seen = f"{certificate.rows} validation rows, {certificate.tokens} answer tokens"
    if certificate.passed:
        within = f"{certificate.max_difference:.1g} nats in {certificate.precision}"
        return f"  served as trained: {seen}, log-probabilities within {within}"
    return f"  NOT served as trained: {seen} ({'same' if certificate.ids_equal else 'other'} token ids)"


def _tolerance(precision: str) -> float:
    """A precision that nobody has measured is held to the strictest."""
    return TOLERANCES.get(precision, min(TOLERANCES.values()))


def _is_comparable(trained: RowTokens, served: RowTokens) -> bool:
    """Whether the log-probabilities of both belong to the same tokens."""
    return trained.ids == served.ids and len(trained.logprobs) == len(served.logprobs)


def _differences(trained: Sequence[RowTokens], served: Sequence[RowTokens]) -> Iterator[float]:
    for ours, theirs in zip(trained, served, strict=True):
        if _is_comparable(ours, theirs):
            for first, second in zip(ours.logprobs, theirs.logprobs, strict=True):
                yield abs(first - second)
