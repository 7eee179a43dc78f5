"""Verdicts, scores and a manifest built in memory, for the tests of the report."""

from __future__ import annotations

from dataclasses import replace

from tunewise.records import ApproachResult, Gain, Reason, Score, Verdict


def approach(name: str, score: float, **changes: object) -> ApproachResult:
    result = ApproachResult(
        name, score, max(0.0, score - 0.05), min(1.0, score + 0.05), 8, 0, 40.0, 17.0, 0.03
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def score(name: str, example: str, value: float | None, **changes: object) -> Score:
    metrics = {"exact_match": value, "json_field_accuracy": value}
    answer = '{"amount": 5}' if value else "no idea"
    made = Score(name, example, example, "answered", answer, '{"amount": 5}', metrics, 40, 17, 200.0)
    return replace(made, **changes)  # type: ignore[arg-type]


APPROACHES = (
    approach("majority", 0.02, low=0.008, high=0.047, input_tokens_per_call=0.0, output_tokens_per_call=0.0),
    approach("nearest-copy", 0.10, cost_per_1000_calls=0.0),
    approach("few-shot", 0.23, low=0.181, high=0.288, input_tokens_per_call=212.4, cost_per_1000_calls=0.112),
    approach("fine-tuned", 0.92, low=0.878, high=0.948, input_tokens_per_call=31.3),
)
WIN = Verdict(
    recommendation="fine-tune",
    headline="Fine-tune: 92% right, the best prompt 23%.",
    primary_metric="exact_match",
    test_examples=233,
    approaches=APPROACHES,
    best_without_training="few-shot",
    gain=Gain(0.69, 0.621, 0.751, 0.0002),
    reasons=(
        Reason(
            "beats-every-rival", "Training beat everything.", {"few-shot": 0.2318, "gain": {"low": 0.621}}
        ),
        Reason("format", "Prompts break the format.", {"shares": [0.41, 1.0], "known": None}),
        Reason("shorter", "Calls are shorter.", {}),
        Reason("curve", "The curve is flat.", {"gain_at_double": 0.011}),
    ),
    model="ft:smollm2-135m-instruct:local:prices:4fj2x9",
    deployed=True,
    currency="GBP",
    training_cost=0.0134,
    break_even_calls=1712,
)
KEEP = replace(
    WIN,
    recommendation="keep-prompting",
    headline="Keep prompting: training gained nothing that matters.",
    gain=Gain(-0.004, -0.021, 0.017, 0.8),
    deployed=False,
    break_even_calls=None,
)
UNTUNED = replace(
    WIN,
    recommendation="collect-more-data",
    approaches=APPROACHES[:3],
    gain=None,
    model=None,
    deployed=False,
    training_cost=0.0,
    break_even_calls=None,
)
MANIFEST = {
    "data": {
        "path": "prices.jsonl",
        "sha256": "d" * 64,
        "rows": 1178,
        "examples": 1136,
        "duplicates_removed": 42,
    },
    "split": {
        "train": 767,
        "validation": 136,
        "test": 233,
        "groups": 1120,
        "seal": "5ea1",
        "detectable_difference": 0.083,
    },
    "base": {"id": "smollm2-135m-instruct", "sha256": "b" * 64},
    "spec": {"seed": 1234567, "learning_rate": 0.001, "modules": ["q_proj", "v_proj"]},
    "versions": {"tunewise": "0.1.0", "peft": "0.21.0"},
    "test_reads": [
        {"purpose": "scoring few-shot", "at": 1790000210},
        {"purpose": "scoring fine-tuned", "at": "noon"},
    ],
    "training": {
        "examples": 767,
        "epochs": 2,
        "steps": 30,
        "tokens": 95231,
        "seconds": 301.2,
        "best_step": 20,
        "validation_loss": [0.4, 0.2],
        "curve": [
            {
                "step": step,
                "train_loss": 2.0 / step,
                "validation_loss": 2.2 / step if step % 10 == 0 else None,
            }
            for step in range(1, 31)
        ],
    },
    "timings": {"check": 1.2, "training": 301.2, "evaluation": 3661.0},
    "hourly_price": 0.10,
    "hourly_price_is_assumed": True,
    "currency": "GBP",
    "command": "tunewise run prices.jsonl --seed 1234567",
}
# Eight examples: four that only the tuned model gets right, two that both do, one each of the others.
TUNED_RIGHT, PROMPT_RIGHT = "11111100", "00001110"
SCORES = [
    score(name, f"e{index}", float(right == "1"))
    for name, answers in (("few-shot", PROMPT_RIGHT), ("fine-tuned", TUNED_RIGHT), ("majority", "00000000"))
    for index, right in enumerate(answers)
]
INPUTS = {f"e{index}": f"$ {index}.00" for index in range(8)}
