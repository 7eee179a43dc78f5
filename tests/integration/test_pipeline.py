"""The real pipeline on the real embedded model, with few examples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from openai import NotFoundError, OpenAI

from tunewise import pipeline
from tunewise.data.dataset import read_dataset
from tunewise.data.split import split_examples
from tunewise.deciding import decide_run
from tunewise.engines import open_engine
from tunewise.errors import DataError, RunFolderError
from tunewise.models.base import BaseModel
from tunewise.progress import SilentProgress
from tunewise.records import Verdict
from tunewise.run_spec import RunSpec
from tunewise.serve.app import create_app
from tunewise.serve.server import background_server
from tunewise.settings import Settings, get_settings
from tunewise.store.files import read_json, read_jsonl, sha256_of_file
from tunewise.store.registry import Registry
from tunewise.train.spec import TrainSpec

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"
SPEC = {"suffix": "prices", "training": TrainSpec(epochs=1, rank=8, validations=2)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, embedded_base: BaseModel) -> Settings:
    """A registry of its own, beside the user's cache of dequantised models."""
    home = tmp_path_factory.mktemp("home")
    (home / "cache").symlink_to(embedded_base.folder.parent)
    return replace(get_settings(), home=home, organization="test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "prices.jsonl"
    lines = PRICES.read_text("utf-8").splitlines()[:80]
    path.write_text("\n".join([*lines, lines[0]]) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def first(data: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Verdict, Path]:
    out = tmp_path_factory.mktemp("runs") / "first"
    return pipeline.run(RunSpec(data=data, **SPEC), out, SilentProgress(), settings), out


def test_a_run_leaves_a_verdict_that_its_scores_bear_out(first: tuple[Verdict, Path]) -> None:
    _, out = first
    verdict, scores = read_json(out / "verdict.json"), read_jsonl(out / "scores.jsonl")
    assert [row["name"] for row in verdict["approaches"]] == list(RunSpec(data=PRICES).approaches)
    for row in verdict["approaches"]:
        own = [s for s in scores if s["approach"] == row["name"]]
        assert len(own) == verdict["test_examples"]
        right = sum(s["metrics"]["exact_match"] for s in own)
        assert row["score"] == pytest.approx(right / len(own))
        assert row["low"] <= row["score"] <= row["high"]
    assert verdict["currency"] == "GBP"
    assert verdict["training_cost"] > 0


def test_the_verdict_can_be_made_again_from_what_the_run_left(first: tuple[Verdict, Path]) -> None:
    verdict, out = first
    assert decide_run(out) == verdict


def test_the_duplicate_is_removed_and_the_test_set_is_sealed(first: tuple[Verdict, Path]) -> None:
    manifest = read_json(first[1] / "manifest.json")
    assert (manifest["data"]["rows"], manifest["data"]["duplicates_removed"]) == (81, 1)
    purposes = [read["purpose"] for read in manifest["test_reads"]]
    assert purposes.count("test fine-tuned") == 1
    assert set(purposes) == {
        *(f"test {name}" for name in RunSpec(data=PRICES).approaches), "patterns of questions", "report",
    }  # fmt: skip
    assert manifest["split"]["train"] + manifest["split"]["validation"] + manifest["split"]["test"] == 80


def test_training_learns(first: tuple[Verdict, Path]) -> None:
    curve = read_json(first[1] / "manifest.json")["training"]["curve"]
    assert curve[-1]["train_loss"] < 0.7 * curve[0]["train_loss"]
    assert len(read_jsonl(first[1] / "metrics.jsonl")) == len(curve)


def test_training_takes_no_more_memory_than_was_said(first: tuple[Verdict, Path]) -> None:
    estimate = read_json(first[1] / "manifest.json")["training"]["estimate"]
    assert 1e9 < estimate["peak_memory_bytes"] <= estimate["first"]["peak_memory_bytes"]


def test_the_model_folder_explains_itself(first: tuple[Verdict, Path]) -> None:
    folder = first[1] / "model"
    assert {path.name for path in folder.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja",
        "tunewise.json", "README.md",
    }  # fmt: skip
    assert read_json(folder / "tunewise.json")["base"]["id"] == "smollm2-135m-instruct"


def test_the_model_is_certified_to_be_served_as_it_was_trained(first: tuple[Verdict, Path]) -> None:
    parity = read_json(first[1] / "manifest.json")["parity"]
    assert parity["passed"]
    assert parity["rows"] > 0
    assert read_json(first[1] / "model" / "tunewise.json")["parity"] == parity


def test_the_report_shows_the_headline_and_loads_nothing_from_elsewhere(
    first: tuple[Verdict, Path],
) -> None:
    verdict, out = first
    html = (out / "report.html").read_text("utf-8")
    assert verdict.headline.split(":")[0] in html
    assert 'src="http' not in html


def test_the_same_seed_gives_the_same_split_scores_and_adapter_bytes(
    first: tuple[Verdict, Path], data: Path, settings: Settings, tmp_path: Path
) -> None:
    _, out = first
    pipeline.run(RunSpec(data=data, **SPEC), tmp_path / "again", SilentProgress(), settings)

    def without_times(folder: Path) -> list[dict[str, object]]:
        return [{**row, "latency_ms": 0} for row in read_jsonl(folder / "scores.jsonl")]

    assert without_times(tmp_path / "again") == without_times(out)
    for name in ("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja"):
        assert sha256_of_file(tmp_path / "again" / "model" / name) == sha256_of_file(out / "model" / name)
    seals = [read_json(folder / "manifest.json")["split"]["seal"] for folder in (out, tmp_path / "again")]
    assert seals[0] == seals[1]


def test_a_finished_run_started_again_computes_nothing_anew(
    first: tuple[Verdict, Path], data: Path, settings: Settings
) -> None:
    verdict, out = first
    stages = {path.name: path.stat().st_mtime_ns for path in (out / "stages").iterdir()}
    again = pipeline.run(RunSpec(data=data, **SPEC), out, SilentProgress(), settings)
    assert again == verdict
    assert {path.name: path.stat().st_mtime_ns for path in (out / "stages").iterdir()} == stages


def test_another_run_is_refused_the_folder_with_the_difference(
    first: tuple[Verdict, Path], data: Path, settings: Settings
) -> None:
    with pytest.raises(RunFolderError, match="seed was 0, is 1"):
        pipeline.run(RunSpec(data=data, seed=1, **SPEC), first[1], SilentProgress(), settings)


def test_the_registry_knows_the_run_and_its_model(first: tuple[Verdict, Path], settings: Settings) -> None:
    verdict, out = first
    registry = Registry(settings.registry)
    assert registry.run(str(out)).status == "done"
    assert verdict.model is not None
    record = registry.model(verdict.model)
    assert record.id.startswith("ft:smollm2-135m-instruct:test:prices:")
    assert record.state == ("deployed" if verdict.deployed else "rejected")


def test_the_openai_client_reaches_the_base_and_the_tuned_model(
    first: tuple[Verdict, Path], settings: Settings, embedded_base: BaseModel
) -> None:
    verdict, out = first
    assert verdict.model is not None
    scores = [row for row in read_jsonl(out / "scores.jsonl") if row["approach"] == "fine-tuned"]
    lines = [json.loads(line)["messages"] for line in PRICES.read_text("utf-8").splitlines()[:80]]
    inputs = {row[-1]["content"]: row[1]["content"] for row in lines}
    engine = open_engine(embedded_base, own_thread=True)
    app = create_app(engine, Registry(settings.registry), base="embedded")
    with background_server(app) as url, OpenAI(base_url=url, api_key="unused", max_retries=0) as client:
        assert {"smollm2-135m-instruct", verdict.model} <= {model.id for model in client.models.list()}
        for score in scores[:3]:
            reply = client.chat.completions.create(
                model=verdict.model,
                messages=[{"role": "user", "content": inputs[score["expected"]]}],
                temperature=0,
                max_tokens=40,
            )
            assert reply.model == verdict.model
            assert reply.choices[0].message.content == score["answer"]
            assert reply.usage is not None
            assert reply.usage.prompt_tokens == score["input_tokens"]
        with pytest.raises(NotFoundError, match="does not exist"):
            client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "a"}])
    engine.close()


def test_a_row_that_is_too_long_is_refused_by_line_before_anything_is_measured(
    data: Path, settings: Settings, tmp_path: Path
) -> None:
    long = {"role": "user", "content": "price " * 3000}
    row = {"messages": [long, {"role": "assistant", "content": "{}"}]}
    lines = data.read_text("utf-8").splitlines()[:79]
    path = tmp_path / "long.jsonl"
    path.write_text("\n".join([*lines, json.dumps(row)]) + "\n", "utf-8")
    seed = next(
        seed
        for seed in range(20)
        if any(e.line == 80 for e in split_examples(read_dataset(path).examples, seed, path=path).train)
    )
    with pytest.raises(DataError, match=r"long.jsonl:80: this conversation has \d+ tokens"):
        pipeline.run(RunSpec(data=path, seed=seed, **SPEC), tmp_path / "run", SilentProgress(), settings)
    assert not (tmp_path / "run" / "stages").exists()
    assert Registry(settings.registry).run(str(tmp_path / "run")).status == "failed"
