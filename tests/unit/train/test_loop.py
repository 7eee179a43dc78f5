from __future__ import annotations

import pytest
import torch

from toy import make_model
from tunewise.chat.template import TokenizedExample
from tunewise.errors import TrainingError
from tunewise.progress import SilentProgress
from tunewise.train.loop import order_batches, schedule, train_lora, validation_steps
from tunewise.train.lora import LoRALinear, add_lora
from tunewise.train.objectives import accumulate_gradients, mean_loss, trained_logprobs
from tunewise.train.spec import TrainSpec


def examples(number: int, seed: int = 0) -> list[TokenizedExample]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 30, (number,), generator=generator).tolist()
    return [
        TokenizedExample(torch.randint(2, 258, (n,), generator=generator).tolist(), [i > 2 for i in range(n)])
        for n in lengths
    ]


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


def test_training_lowers_the_loss_and_repeats_exactly() -> None:
    spec = TrainSpec(epochs=4, batch_size=4, learning_rate=5e-3, seed=3)
    first = train_lora(make_model(), examples(8), examples(8), spec, SilentProgress())
    again = train_lora(make_model(), examples(8), examples(8), spec, SilentProgress())
    assert first.metrics[-1].train_loss < 0.8 * first.metrics[0].train_loss
    for name, (a, b) in first.layers.items():
        assert torch.equal(a, again.layers[name][0])
        assert torch.equal(b, again.layers[name][1])


def test_another_seed_trains_another_adapter() -> None:
    runs = [
        train_lora(make_model(), examples(8), examples(4), TrainSpec(epochs=1, seed=seed), SilentProgress())
        for seed in (0, 1)
    ]
    name = next(iter(runs[0].layers))
    assert not torch.equal(runs[0].layers[name][0], runs[1].layers[name][0])


def test_the_checkpoint_with_the_lowest_validation_loss_is_kept() -> None:
    # A rate this high overfits the four rows, so that validation gets worse again.
    spec = TrainSpec(epochs=12, batch_size=4, learning_rate=3e-2, validations=12)
    result = train_lora(make_model(), examples(4), examples(6, seed=9), spec, SilentProgress())
    losses = {m.step: m.validation_loss for m in result.metrics if m.validation_loss is not None}
    assert result.best_loss == min(losses.values())
    assert losses[result.best_step] == result.best_loss
    assert result.best_step < max(losses)


def test_the_model_is_left_with_the_weights_that_are_kept() -> None:
    spec = TrainSpec(epochs=12, batch_size=4, learning_rate=3e-2, validations=12)
    model, rows = make_model(), examples(6, seed=9)
    result = train_lora(model, examples(4), rows, spec, SilentProgress())
    assert result.best_step < len(result.metrics)
    assert mean_loss(model, rows, spec.micro_batch_tokens) == result.best_loss
    logprobs = [logprob for row in trained_logprobs(model, rows, 40) for logprob in row]
    assert -sum(logprobs) / len(logprobs) == pytest.approx(result.best_loss, rel=1e-5)
    assert [len(row) for row in trained_logprobs(model, rows, 40)] == [sum(row.trained) for row in rows]


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    model = make_model()
    model.model.embed_tokens.weight.data[5:].fill_(float("nan"))
    with pytest.raises(TrainingError, match="step 1"):
        train_lora(model, examples(4), examples(2), TrainSpec(), SilentProgress())


def test_every_epoch_visits_every_example_once_in_an_order_of_its_own() -> None:
    batches = order_batches(10, TrainSpec(epochs=2, batch_size=4))
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


def test_validation_always_follows_the_last_step() -> None:
    assert validation_steps(10, 4) == {2, 5, 8, 10}
    assert validation_steps(2, 5) == {1, 2}
