from __future__ import annotations

from pathlib import Path

import pytest

from tunewise.errors import SpecError
from tunewise.train.spec import TrainSpec, read_train_spec


def test_auto_for_lora_is_what_was_measured_to_work_on_the_embedded_model() -> None:
    spec = TrainSpec().resolve(809)
    values = (spec.rank, spec.alpha, spec.learning_rate, spec.epochs, spec.batch_size)
    assert values == (16, 32.0, 2e-3, 2, 8)
    assert [TrainSpec().resolve(number).epochs for number in (10, 200, 800, 1600)] == [10, 8, 2, 1]


def test_auto_gives_all_weights_a_tenth_of_loras_rate() -> None:
    rates = {name: TrainSpec(tuning=name).resolve(50).learning_rate for name in ("lora", "full", "scratch")}
    assert rates["full"] == pytest.approx(rates["lora"] / 10)
    assert rates["full"] < rates["scratch"] < rates["lora"]


def test_auto_alpha_scales_the_update_alike_at_every_rank_unless_rslora_is_to_let_it_grow() -> None:
    for rank in (4, 16, 64):
        assert TrainSpec(rank=rank).resolve(50).alpha == 2 * rank
        assert TrainSpec(rank=rank, rslora=True).resolve(50).alpha == 8


def test_what_is_given_is_not_filled_in() -> None:
    given = {"rank": 3, "alpha": 5.0, "learning_rate": 1e-5, "epochs": 2, "batch_size": 1}
    assert TrainSpec(**given).resolve(10).model_dump(include=set(given)) == given


def test_a_resolved_spec_resolves_to_itself() -> None:
    spec = TrainSpec(rank=4).resolve(100)
    assert spec.resolve(7) == spec


def test_the_interval_of_checkpoints_is_no_part_of_what_identifies_a_training() -> None:
    assert TrainSpec(checkpoint_seconds=1).identity() == TrainSpec().identity()
    assert TrainSpec(seed=1).identity() != TrainSpec().identity()


def test_options_come_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text('rank = 8\nschedule = "cosine"\ntarget_modules = ["q_proj", "v_proj"]\n')
    spec = read_train_spec(file, {"rank": "auto", "epochs": "3", "dropout": None, "learning_rate": "1e-3"})
    assert (spec.rank, spec.schedule, spec.epochs, spec.learning_rate) == ("auto", "cosine", 3, 1e-3)
    assert spec.target_modules == ("q_proj", "v_proj")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rank": "0"}, "rank is '0': "),
        ({"rank": "many"}, "rank is 'many': "),
        ({"schedule": "steep"}, "schedule is 'steep': Input should be 'linear', 'cosine' or 'constant'"),
        ({"tuning": "qlora"}, "tuning is 'qlora': Input should be 'lora', 'full' or 'scratch'"),
        ({"rnak": 3}, "rnak: Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_train_spec(None, options)
    assert said in str(caught.value)


def test_a_file_that_is_no_toml_or_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    with pytest.raises(SpecError, match=r"spec\.toml: cannot be read"):
        read_train_spec(file, {})
    file.write_text("rank: 8")
    with pytest.raises(SpecError, match=r"spec\.toml is no TOML"):
        read_train_spec(file, {})
