"""The model card gives what may be passed on, keeps what may not, and cannot be broken out of."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace

import pytest

from tunewise.records import ApproachResult, Gain, ModelRecord, Reason, Verdict
from tunewise.report.model_card import render_model_card

RECORD = ModelRecord(
    id="ft:smollm2-135m-instruct:local:prices:4fj2x9",
    base="embedded",
    path="/home/ada/runs/prices/model",
    state="deployed",
    state_reason="beats every rival",
    run="/home/ada/runs/prices",
    created_at=1790000000,
)
VERDICT = Verdict(
    recommendation="fine-tune",
    headline="Fine-tune: 92% right, the best prompt 23%.",
    primary_metric="exact_match",
    test_examples=233,
    approaches=(
        ApproachResult("few-shot", 0.23, 0.181, 0.288, 231, 2, 212.4, 17.9, 0.112),
        ApproachResult("fine-tuned", 0.92, 0.878, 0.948, 233, 0, 31.3, 16.8, 0.033),
    ),
    best_without_training="few-shot",
    gain=Gain(0.69, 0.621, 0.751, 0.0002),
    reasons=(Reason("beats-every-rival", "It beat them.", {}),),
    model=RECORD.id,
    deployed=True,
    currency="GBP",
    training_cost=0.01,
    break_even_calls=171,
)
MANIFEST = {
    "models": {"fine-tuned": RECORD.id, "fine-tuned-rag": "ft:with-documents", "from-scratch": "ft:scratch"},
    "data": {"path": "/home/ada/secret-prices.jsonl", "sha256": "d" * 64, "examples": 1136},
    "split": {"train": 767, "validation": 136, "test": 233, "detectable_difference": 0.083},
    "base": {"id": "smollm2-135m-instruct", "sha256": "b" * 64},
    "training": {"examples": 767, "epochs": 2, "steps": 117, "tokens": 95231, "seconds": 301.2},
    "command": "tunewise run /home/ada/secret-prices.jsonl",
}


def front_matter(card: str) -> list[str]:
    _, block, _ = card.split("---\n", 2)
    return block.splitlines()


def code_blocks(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


def test_the_card_carries_what_hubs_read() -> None:
    lines = front_matter(render_model_card(RECORD, VERDICT, MANIFEST))
    assert lines[:4] == [
        'base_model: "smollm2-135m-instruct"',
        "library_name: peft",
        "pipeline_tag: text-generation",
        "tags:",
    ]
    assert {"- tunewise", "- lora"} <= set(lines)


def test_the_card_says_what_it_was_trained_on_and_how_it_did() -> None:
    card = render_model_card(RECORD, VERDICT, MANIFEST)
    for words in (
        "Fine-tune: 92% right, the best prompt 23%.",
        "State: **deployed** (beats every rival).",
        f"SHA-256 of the data: `{'d' * 64}`",
        f"SHA-256 of the base's weights: `{'b' * 64}`",
        "Split: 767 train, 136 validation, 233 test",
        "Training tokens: 95,231",
        "Training time: 5 min 1 s",
        "| few-shot | 23.0% | 18.1–28.8% | 2 |",
        "| **fine-tuned** | **92.0%** | 87.8–94.8% | 0 |",
        "+69.0 points (95% interval +62.1 to +75.1)",
        "differences of about 8.3 points",
    ):
        assert words in card


def test_the_card_holds_no_file_name_command_or_folder_of_the_user() -> None:
    card = render_model_card(RECORD, VERDICT, MANIFEST)
    assert "ada" not in card.replace("adapter", "")
    assert "secret" not in card


@pytest.mark.parametrize(
    ("base", "shown"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("/home/ada/models/tiny", "tiny"),
        ("../models/tiny", "tiny"),
        ("C:\\models\\tiny", "tiny"),
    ],
)
def test_a_base_in_a_folder_is_named_by_its_last_part(base: str, shown: str) -> None:
    card = render_model_card(replace(RECORD, base=base), VERDICT, {})
    assert front_matter(card)[0] == f"base_model: {json.dumps(shown)}"
    assert "embedded" not in card


def test_the_code_is_python_and_names_the_model() -> None:
    api, plain = code_blocks(render_model_card(RECORD, VERDICT, MANIFEST))
    ast.parse(plain)
    calls = [
        node for node in ast.walk(ast.parse(api)) if isinstance(node, ast.keyword) and node.arg == "model"
    ]
    assert [ast.literal_eval(call.value) for call in calls] == [RECORD.id]


@pytest.mark.parametrize("name", ["fine-tuned-rag", "from-scratch"])
def test_a_model_that_the_verdict_is_not_about_takes_no_credit_for_it(name: str) -> None:
    record = replace(RECORD, id=MANIFEST["models"][name], state="rejected", state_reason="")
    rows = (*VERDICT.approaches, ApproachResult(name, 0.31, 0.2, 0.4, 233, 0, 31.3, 16.8, 0.033))
    card = render_model_card(record, replace(VERDICT, approaches=rows), MANIFEST)
    assert VERDICT.headline not in card
    assert "Gain from training" not in card
    assert f"| **{name}** | **31.0%** |" in card
    assert "| fine-tuned | 92.0% |" in card
    assert "the verdict is about another model of its run" in card


def test_who_asks_a_model_of_passages_is_told_how_they_were_laid_out() -> None:
    record = replace(RECORD, id="ft:with-documents")
    card = render_model_card(record, replace(VERDICT, model=record.id), MANIFEST)
    assert "[1] the second-best passage\n\n[2] the best passage\n\nInput: ..." in card
    assert "passages of documents" not in render_model_card(RECORD, VERDICT, MANIFEST)


def test_a_model_with_all_its_weights_is_loaded_without_an_adapter() -> None:
    card = render_model_card(RECORD, VERDICT, MANIFEST, is_whole=True)
    assert "peft" not in card.lower()
    assert "library_name: transformers" in front_matter(card)
    _, plain = code_blocks(card)
    ast.parse(plain)
    scratch = replace(RECORD, id="ft:scratch")
    assert "base_model" not in render_model_card(scratch, VERDICT, MANIFEST, is_whole=True)


def test_a_rejected_model_says_so() -> None:
    record = replace(RECORD, state="rejected", state_reason="")
    card = render_model_card(record, replace(VERDICT, deployed=False), MANIFEST)
    assert "State: **rejected**." in card
    assert "It was not put into use" in card


@pytest.mark.parametrize(
    "manifest", [{}, dict.fromkeys(MANIFEST), dict.fromkeys(MANIFEST, 3), {"base": {"id": 7}}]
)
def test_a_bare_manifest_still_gives_a_card(manifest: dict[str, object]) -> None:
    verdict = replace(VERDICT, approaches=(), gain=None, best_without_training=None)
    card = render_model_card(RECORD, verdict, manifest)
    assert "## How to use it" in card
    assert "## Scores" not in card
    assert "None" not in card


def test_hostile_text_breaks_out_of_nothing() -> None:
    hostile = (
        '"\n---\nlicense: stolen\n# Title\n<script>alert(1)</script> | '
        "[x](http://evil.example) `` \x00\u202e{0}"
    )
    verdict = replace(
        VERDICT,
        headline=hostile,
        approaches=(replace(VERDICT.approaches[0], name=hostile), VERDICT.approaches[1]),
    )
    record = replace(RECORD, id=hostile, state_reason=hostile)
    card = render_model_card(
        record, verdict, {"base": {"id": hostile, "sha256": hostile}, "data": {"sha256": hostile}}
    )
    lines = card.splitlines()
    assert lines.count("---") == 2
    assert not any(line.startswith(("license", "# Title", "<script")) for line in lines)
    assert not re.search(
        r"(?<!\\)<script", "".join(line for line in lines if "`" not in line and '"' not in line)
    )
    assert "\x00" not in card
    assert "\u202e" not in card
    assert len({line.count(" | ") for line in lines if line.startswith("| ")}) == 1
    for block in code_blocks(card):
        ast.parse(block)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert render_model_card(RECORD, VERDICT, MANIFEST) == render_model_card(RECORD, VERDICT, dict(MANIFEST))


def test_the_card_says_whether_the_model_is_served_as_it_was_trained() -> None:
    record = replace(RECORD, state="rejected", state_reason="see below")
    kept = replace(VERDICT, deployed=False)
    passed = {"passed": True, "max_difference": 3.6e-6}
    card = render_model_card(record, kept, {**MANIFEST, "parity": passed})
    assert "Served as trained: yes, log-probabilities within 3.6e−06 nats" in card
    assert "did not show that it beats every rival" in card
    card = render_model_card(record, kept, {**MANIFEST, "parity": {"passed": False, "max_difference": 2.0}})
    assert "Served as trained: no" in card
    assert "It was not put into use: it is not served as it was trained." in card
    assert "did not show" not in card
    assert "Served as trained" not in render_model_card(record, kept, MANIFEST)


def test_a_model_tested_under_system_messages_of_the_rows_says_so() -> None:
    card = render_model_card(RECORD, VERDICT, {"data": {"own_system": True}})
    assert "each under a system message of its own" in card
    assert "without a system message" in render_model_card(RECORD, VERDICT, MANIFEST)
