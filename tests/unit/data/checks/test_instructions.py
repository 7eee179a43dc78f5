from __future__ import annotations

from check_samples import INSTRUCTION, data_of, find, real_data, support_rows
from tunewise.data.checks.instructions import InstructionDrift


def test_small_deviations_and_missing_messages_are_listed() -> None:
    systems: list[str | None] = [INSTRUCTION] * 40
    systems[3] = INSTRUCTION.replace("two", "three")
    systems[30] = None
    problem = find(InstructionDrift(), data_of(support_rows(), systems))
    assert problem is not None
    assert problem.lines == (4, 31)
    assert "three friendly sentences" in problem.message
    assert "no system message (1)" in problem.message


def test_a_reworded_half_is_drift_and_another_task_is_none() -> None:
    reworded: list[str | None] = [INSTRUCTION] * 25 + [INSTRUCTION.upper() + "!"] * 15
    assert find(InstructionDrift(), data_of(support_rows(), reworded)) is not None
    tasks: list[str | None] = [INSTRUCTION] * 25 + ["Translate into French"] * 15
    assert find(InstructionDrift(), data_of(support_rows(), tasks)) is None


def test_one_message_or_one_for_each_row_is_clean() -> None:
    assert find(InstructionDrift(), real_data()) is None
    personas: list[str | None] = [f"You are the guard of gate {number}" for number in range(40)]
    assert find(InstructionDrift(), data_of(support_rows(), personas)) is None
