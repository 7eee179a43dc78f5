from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from toy import make_loaded, make_model
from toy import make_token_rows as examples
from tunewise.chat.template import TokenizedExample
from tunewise.errors import TrainingError
from tunewise.train import loop
from tunewise.train.loop import TrainingResult, order_batches, schedule, train_weights, validation_steps
from tunewise.train.lora import LoRALinear, add_lora
from tunewise.train.objectives import accumulate_gradients, mean_loss, trained_logprobs
from tunewise.train.spec import TrainSpec
from tunewise.train.tuning import FullTuning, LoRATuning, Tuning
from tunewise.train.watch import MetricsFile


def gradients(rows: list[TokenizedExample], micro_batch_tokens: int) -> tuple[float, dict[str, torch.Tensor]]:
    model = make_model()
    layers = add_lora(model, 4, 8.0, seed=1)
    for layer in layers.values():
        torch.nn.init.normal_(layer.b, std=0.1, generator=torch.Generator().manual_seed(2))
    loss = accumulate_gradients(model, rows, micro_batch_tokens)
    return loss, {f"{n}.{p}": getattr(layer, p).grad for n, layer in layers.items() for p in "ab"}


def test_gradient_accumulation_equals_one_big_batch() -> None:
    rows = examples(12)
    whole_loss, whole = gradients(rows, 10_000)
    for limit in (1, 40, 100):
        loss, parts = gradients(rows, limit)
        assert loss == pytest.approx(whole_loss, rel=1e-6)
        for name, gradient in whole.items():
            torch.testing.assert_close(parts[name], gradient, atol=1e-6, rtol=1e-4)


def test_the_loss_is_that_of_transformers_over_the_trained_tokens() -> None:
    rows = examples(5)
    plain = make_model(attention="eager")
    total, count = 0.0, 0
    for row in rows:
        labels = [token if trained else -100 for token, trained in zip(row.ids, row.trained, strict=True)]
        out = plain(input_ids=torch.tensor([row.ids]), labels=torch.tensor([labels]))
        total += out.loss.item() * sum(row.trained)
        count += sum(row.trained)
    assert mean_loss(make_model(), rows, 64) == pytest.approx(total / count, rel=1e-5)


def test_the_fused_lora_layer_has_the_gradients_of_autograd() -> None:
    generator = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(6, 5).requires_grad_(False).double()
    layer = LoRALinear(linear, 3, 6.0, generator).double()
    torch.nn.init.normal_(layer.b, generator=generator)
    x = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    torch.testing.assert_close(y, linear(x) + 2.0 * x @ layer.a.t() @ layer.b.t())
    assert torch.autograd.gradcheck(lambda a, b, x: _with(layer, a, b)(x), (layer.a, layer.b, x))


def _with(layer: LoRALinear, a: torch.Tensor, b: torch.Tensor) -> LoRALinear:
    layer.__dict__["a"], layer.__dict__["b"] = a, b
    return layer


def test_training_starts_at_the_base() -> None:
    rows = examples(4)
    model = make_model()
    before = mean_loss(model, rows, 64)
    add_lora(model, 4, 8.0, seed=0)
    assert mean_loss(model, rows, 64) == pytest.approx(before, rel=1e-6)


def test_lora_is_on_every_linear_layer_but_the_head() -> None:
    layers = add_lora(make_model(layers=1), 4, 8.0, seed=0)
    assert {name.rpartition(".")[2] for name in layers} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip


def train_lora(
    rows: list[TokenizedExample], validation: list[TokenizedExample], spec: TrainSpec
) -> tuple[Tuning, TrainingResult]:
    resolved = spec.resolve(len(rows))
    tuning = LoRATuning(make_loaded(), resolved)
    return tuning, train_weights(tuning, rows, validation, resolved)


def test_training_lowers_the_loss_and_repeats_exactly() -> None:
    spec = TrainSpec(epochs=4, batch_size=4, learning_rate=5e-3, seed=3)
    first, result = train_lora(examples(8), examples(8), spec)
    again, _ = train_lora(examples(8), examples(8), spec)
    assert result.metrics[-1].train_loss < 0.8 * result.metrics[0].train_loss
    for name, weight in first.weights.items():
        assert torch.equal(weight, again.weights[name])


def test_another_seed_trains_another_adapter() -> None:
    one, other = (
        train_lora(examples(8), examples(4), TrainSpec(epochs=1, seed=seed))[0].weights for seed in (0, 1)
    )
    name = next(iter(one))
    assert not torch.equal(one[name], other[name])


def test_dropout_follows_the_seed_and_spares_validation() -> None:
    spec = TrainSpec(epochs=2, batch_size=4, learning_rate=5e-3)
    plain, _ = train_lora(examples(8), examples(4), spec)
    dropped, result = train_lora(examples(8), examples(4), spec.model_copy(update={"dropout": 0.3}))
    again, _ = train_lora(examples(8), examples(4), spec.model_copy(update={"dropout": 0.3}))
    name = next(iter(plain.weights))
    assert not torch.equal(plain.weights[name], dropped.weights[name])
    assert torch.equal(dropped.weights[name], again.weights[name])
    assert mean_loss(dropped.model, examples(4), 4096) == result.best_loss


def test_the_weights_with_the_lowest_validation_loss_are_kept() -> None:
    # A rate this high overfits the four rows, so that validation gets worse again.
    spec = TrainSpec(epochs=12, batch_size=4, learning_rate=3e-2, validations=12, patience=12)
    tuning, result = train_lora(examples(4), rows := examples(6, seed=9), spec)
    losses = {m.step: m.validation_loss for m in result.metrics if m.validation_loss is not None}
    assert result.best_loss == min(losses.values())
    assert losses[result.best_step] == result.best_loss
    assert result.best_step < max(losses)
    assert mean_loss(tuning.model, rows, spec.micro_batch_tokens) == result.best_loss
    assert result.logprobs == trained_logprobs(tuning.model, rows, spec.micro_batch_tokens)
    logprobs = [logprob for row in trained_logprobs(tuning.model, rows, 40) for logprob in row]
    assert -sum(logprobs) / len(logprobs) == pytest.approx(result.best_loss, rel=1e-5)
    assert [len(row) for row in trained_logprobs(tuning.model, rows, 40)] == [sum(r.trained) for r in rows]


def test_training_stops_early_when_validation_gets_no_better() -> None:
    spec = TrainSpec(epochs=12, batch_size=4, learning_rate=3e-2, validations=12, patience=2)
    _, result = train_lora(examples(4), examples(6, seed=9), spec)
    assert len(result.metrics) == result.best_step + 2 < 12


def test_a_loss_that_is_no_number_stops_the_run_and_names_step_and_rate() -> None:
    spec = TrainSpec().resolve(4)
    loaded = make_loaded()
    loaded.model.model.embed_tokens.weight.data[5:].fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"nan at step 1: lower the learning rate \(0.00"):
        train_weights(LoRATuning(loaded, spec), examples(4), examples(2), spec)


def test_a_validation_loss_that_is_no_number_leaves_the_best_weights_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = TrainSpec(epochs=4, batch_size=4, learning_rate=5e-3, validations=4).resolve(4)
    losses = iter([None, None, math.nan])
    best: list[list[list[float]]] = []

    def diverging(*arguments: Any) -> list[list[float]]:
        if next(losses) is not None:
            return [[math.nan]]
        best.append(trained_logprobs(*arguments))
        return best[-1]

    monkeypatch.setattr(loop, "trained_logprobs", diverging)
    tuning = LoRATuning(make_loaded(), spec)
    watches = [MetricsFile(tmp_path / "metrics.jsonl")]
    with pytest.raises(
        TrainingError, match=r"validation loss became nan at step 3: lower the .* \(0\.00"
    ) as caught:
        train_weights(tuning, examples(4), examples(2, seed=9), spec, watches)
    assert caught.value.best_step in (1, 2)
    assert (
        trained_logprobs(tuning.model, examples(2, seed=9), spec.micro_batch_tokens)
        == best[caught.value.best_step - 1]
    )
    assert len((tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()) == 2


def test_all_weights_are_trained_and_tied_ones_stay_tied() -> None:
    spec = TrainSpec(tuning="full", epochs=4, batch_size=4, learning_rate=5e-3).resolve(8)
    tuning = FullTuning(make_loaded())
    before = {name: weight.detach().clone() for name, weight in tuning.weights.items()}
    result = train_weights(tuning, examples(8), examples(8), spec)
    assert result.metrics[-1].train_loss < 0.8 * result.metrics[0].train_loss
    assert all(not torch.equal(weight, before[name]) for name, weight in tuning.weights.items())
    model = tuning.model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_every_epoch_visits_every_example_once_in_an_order_of_its_own() -> None:
    batches = order_batches(10, TrainSpec(epochs=2, batch_size=4).resolve(10))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    epochs = [[i for batch in half for i in batch] for half in (batches[:3], batches[3:])]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_the_rate_climbs_to_its_peak_and_falls_to_nearly_nothing() -> None:
    rates = [schedule(step, 100, 0.1) for step in range(1, 101)]
    assert rates[9] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.02
    assert [schedule(step, 1, 0.0) for step in (1,)] == [1.0]


def test_the_schedules_share_the_warm_up_and_part_after_it() -> None:
    for name in ("linear", "cosine", "constant"):
        assert [schedule(step, 100, 0.1, name) for step in range(1, 11)] == [i / 10 for i in range(1, 11)]
    cosine = [schedule(step, 100, 0.0, "cosine") for step in range(1, 101)]
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[50] == pytest.approx(0.5)
    assert 0 < cosine[-1] < 0.001
    assert {schedule(step, 100, 0.1, "constant") for step in range(10, 101)} == {1.0}


def test_validation_always_follows_the_last_step() -> None:
    assert validation_steps(10, 4) == {2, 5, 8, 10}
    assert validation_steps(2, 5) == {1, 2}
