"""One input with several answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.same_inputs import Group, canonical_answer, group_same_inputs

MAX_GROUPS_NAMED = 3
FREE_TEXT_WORDS = 20
"""Two longer answers may both be good; of two shorter ones, or two that are JSON, one is wrong."""
UNSOUND_SHARE = 0.1
"""Of rows that contradict another, from which on little of what is trained or measured means anything."""


class Contradictions:
    """The same question under the same instruction, answered in different ways."""

    code = "contradiction"
    severity: Severity = "error"
    cost: Cost = "cheap"
    finds = "one input with several answers"
    why = "No model can learn both, and each counts as wrong where the other was expected."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Real contradictions, then texts that vary freely, then the same answer in other writing."""
        real: list[Group] = []
        varied: list[Group] = []
        respelled: list[Group] = []
        for rows in group_same_inputs(data.examples):
            answers = {example.answer for example in rows}
            if len(answers) == 1:
                continue
            if len({canonical_answer(answer) for answer in answers}) == 1:
                # An answer that repeats the input's own spelling is right to differ.
                if len({example.prompt for example in rows}) == 1:
                    respelled.append(rows)
            elif all(_is_free_text(answer) for answer in answers):
                varied.append(rows)
            else:
                real.append(rows)
        unsound = sum(map(len, real)) > UNSOUND_SHARE * len(data.examples)
        yield from self._name(
            "error" if unsound else "warning",
            real,
            "{lines} give different answers to one input: decide which is right, and drop the others",
        )
        yield from self._name(
            "note", varied, "{lines} answer one input with different texts, which is fine where all are good"
        )
        yield from self._name(
            "note", respelled, "{lines} write the same answer to one input in different ways: choose one"
        )

    def _name(self, severity: Severity, groups: Sequence[Group], message: str) -> Iterator[Problem]:
        if not groups:
            return
        named = "; lines ".join(_list_lines(rows) for rows in groups[:MAX_GROUPS_NAMED])
        more = f" ({len(groups) - MAX_GROUPS_NAMED} more inputs)" if len(groups) > MAX_GROUPS_NAMED else ""
        lines = sorted(example.line for rows in groups for example in rows)
        answers = dict.fromkeys(example.answer for example in groups[0])
        yield Problem(
            self.code,
            severity,
            tuple(lines),
            message.format(lines=f"lines {named}{more}"),
            f"{groups[0][0].messages[-2].content} → {' | '.join(answers)}",
        )


def _is_free_text(answer: str) -> bool:
    return len(answer.split()) > FREE_TEXT_WORDS and not answer.lstrip().startswith(("{", "["))


def _list_lines(rows: Group) -> str:
    lines = [str(example.line) for example in rows[:4]]
    if len(rows) > len(lines):
        return f"{', '.join(lines)} and {len(rows) - len(lines)} more"
    return f"{', '.join(lines[:-1])} and {lines[-1]}"
