"""A run may train several models; each has a folder, an id and a certificate of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from toy import save_base, write_rows
from tunewise import pipeline
from tunewise.deciding import decide_run
from tunewise.run_spec import RunSpec
from tunewise.settings import Settings, get_settings
from tunewise.store.files import read_json, read_jsonl
from tunewise.store.registry import Registry
from tunewise.train.spec import TrainSpec

APPROACHES = ("majority", "zero-shot", "rag", "fine-tuned", "fine-tuned-rag", "from-scratch")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(get_settings(), home=tmp_path / "home", organization="test", device="cpu")


def test_each_trained_model_is_tested_certified_and_kept_apart(tmp_path: Path, settings: Settings) -> None:
    docs = tmp_path / "facts.md"
    docs.write_text("# Counting\n\nAfter one comes two.\n\n# More\n\nAfter two comes three.\n", "utf-8")
    spec = RunSpec(
        data=write_rows(tmp_path / "rows.jsonl", 120),
        docs=docs,
        base=str(save_base(tmp_path / "toy")),
        approaches=APPROACHES,
        training=TrainSpec(rank=4, epochs=1, batch_size=8),
    )
    out = tmp_path / "out"
    verdict = pipeline.run(spec, out, settings=settings)

    assert [row.name for row in verdict.approaches] == list(APPROACHES)
    assert decide_run(out) == verdict
    manifest = read_json(out / "manifest.json")
    models = manifest["models"]
    asked_again = manifest["findings"]["consistency"]
    assert set(asked_again) == {manifest["findings"]["best_untrained"], "fine-tuned", "fine-tuned-rag"}
    assert all(0 <= seen["agreement"] <= 1 for seen in asked_again.values())
    assert manifest["findings"]["disagreement"] == {"share": 0.0, "duplicate_groups": 0}
    assert models.keys() == {"fine-tuned", "fine-tuned-rag", "from-scratch"}
    records = {name: Registry(settings.registry).model(model) for name, model in models.items()}
    assert len({record.path for record in records.values()}) == 3
    assert {record.run for record in records.values()} == {str(out.resolve())}
    for name, record in records.items():
        assert record.state == "rejected"
        assert read_json(Path(record.path) / "tunewise.json")["parity"]["passed"], name
    assert verdict.model in models.values()
    assert verdict.model != models["from-scratch"]
    by_approach = {row["approach"] for row in read_jsonl(out / "scores.jsonl")}
    assert by_approach == set(APPROACHES)
