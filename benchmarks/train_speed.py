"""Training speed against TRL's SFTTrainer with PEFT: same model, rows, tokens, LoRA, batch and precision.

The two take turns in one process, several times; the figure is the ratio of their best turns, so that a
neighbour's load on the machine strikes neither more than the other. TRL's defaults for GPUs (bf16, gradient
checkpointing) are off: on a CPU they would only slow it down.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, TrainerCallback
from trl import SFTConfig, SFTTrainer

from results_file import Figure, write_results
from tunewise.chat.template import ChatTemplate
from tunewise.data.dataset import read_dataset
from tunewise.data.split import split_examples
from tunewise.models.base import BaseModel, find_base, load_base
from tunewise.records import Example
from tunewise.train.loop import train_weights
from tunewise.train.rows import encode_rows, training_template
from tunewise.train.spec import ResolvedSpec, TrainSpec
from tunewise.train.tuning import LoRATuning

PRICES = Path(__file__).parents[1] / "examples" / "prices.jsonl"
TARGET_RATIO = 2.0


def ours(base: BaseModel, examples: list[Example], spec: ResolvedSpec) -> tuple[float, float]:
    """(examples per second, mean training loss) of tunewise's loop."""
    loaded = load_base(base)
    rows = encode_rows(training_template(loaded.tokenizer), examples, spec, PRICES).rows
    result = train_weights(LoRATuning(loaded, spec), rows, rows[:1], spec)
    losses = [metrics.train_loss for metrics in result.metrics]
    return len(examples) / result.seconds, sum(losses) / len(losses)


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Times the steps alone, not the set-up around them."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds = time.perf_counter() - self.started


def trl(base: BaseModel, examples: list[Example], spec: ResolvedSpec) -> tuple[float, float]:
    """(examples per second, mean training loss) of TRL on the same rows."""
    loaded = load_base(base)
    tokenizer = loaded.tokenizer
    tokenizer.chat_template = ChatTemplate(tokenizer).without_default_system()
    dataset = Dataset.from_list(
        [
            {
                "prompt": [{"role": turn.role, "content": turn.content} for turn in example.turns],
                "completion": [{"role": "assistant", "content": example.answer}],
            }
            for example in examples
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=spec.batch_size,
            num_train_epochs=spec.epochs,
            learning_rate=spec.learning_rate,
            completion_only_loss=True,
            gradient_checkpointing=False,
            bf16=False,
            fp16=False,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="epoch",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=spec.seed,
        )
        clock = _Clock()
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32),
            args=config,
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=LoraConfig(
                r=spec.rank,
                lora_alpha=int(spec.alpha),
                lora_dropout=0.0,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
            callbacks=[clock],
        )
        loss = trainer.train().training_loss
    return len(examples) / clock.seconds, loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    base = find_base()
    split = split_examples(read_dataset(PRICES).examples, seed=0, path=PRICES)
    examples = list(split.train[: arguments.examples])
    spec = TrainSpec(epochs=1, batch_size=16, validations=1, instruction_share=0.0).resolve(len(examples))
    speeds: dict[str, list[float]] = {"tunewise": [], "trl": []}
    for repeat in range(arguments.repeats):
        for name, train in (("tunewise", ours), ("trl", trl)):
            speed, loss = train(base, examples, spec)
            speeds[name].append(speed)
            print(f"round {repeat + 1}: {name:9s} {speed:6.2f} examples/s, mean training loss {loss:.3f}")
    best = {name: max(values) for name, values in speeds.items()}
    ratio = best["tunewise"] / best["trl"]
    figure = Figure(
        figure="LoRA training on examples/prices.jsonl",
        value=round(best["tunewise"], 3),
        unit="examples/s",
        peer=round(best["trl"], 3),
        ratio=round(ratio, 3),
        target=TARGET_RATIO,
        holds=ratio >= TARGET_RATIO,
        limited_by="matrix products of the frozen layers, forward and backward: about 70% of a step",
    )
    print(
        f"{ratio:.2f} times TRL (target {TARGET_RATIO}); written to {write_results('train_speed', [figure])}"
    )


if __name__ == "__main__":
    main()
