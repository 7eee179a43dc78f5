"""The training stage alone, for real on the toy model: what it leaves, what it refuses, what a kill costs."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from toy import make_loaded, make_token_rows, save_base, write_rows
from tunewise import pipeline
from tunewise.deciding import decide_run
from tunewise.engines import open_model_engine
from tunewise.errors import DataError, RunFolderError, SpecError, TrainingError
from tunewise.export.bundle import export_model
from tunewise.export.source import find_source
from tunewise.models.base import BaseModel, load_base
from tunewise.progress import SilentProgress
from tunewise.records import ChatRequest, Message, ModelRecord
from tunewise.run_spec import RunSpec, TuneSpec
from tunewise.settings import Settings, get_settings
from tunewise.store.files import read_json, read_jsonl, sha256_of_file
from tunewise.store.registry import Registry
from tunewise.store.run_folder import RunFolder
from tunewise.train import loop
from tunewise.train import tuning as tuning_module
from tunewise.train.loop import train_weights
from tunewise.train.objectives import predict
from tunewise.train.spec import TrainSpec
from tunewise.training import tune

SMALL: dict[str, Any] = {"rank": 4, "epochs": 2, "batch_size": 8, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(get_settings(), home=tmp_path / "home", organization="test", device="cpu")


@pytest.fixture
def spec(tmp_path: Path, base: Path) -> TuneSpec:
    return TuneSpec(
        data=write_rows(tmp_path / "rows.jsonl"), base=str(base), suffix="count", training=TrainSpec(**SMALL)
    )


def with_training(spec: TuneSpec, **changes: Any) -> TuneSpec:
    return spec.model_copy(update={"training": spec.training.model_copy(update=changes)})


def answer(model: ModelRecord, settings: Settings) -> str:
    request = ChatRequest(model.id, (Message("user", "after 7?"),), 5)
    with closing(open_model_engine(model, settings=settings)) as engine:
        [completion] = engine.generate([request])
    assert completion.error is None
    return completion.text


def hashes(folder: Path) -> dict[str, str]:
    """Of what is the same for the same seed: everything but times."""
    return {path.name: sha256_of_file(path) for path in folder.iterdir() if path.name != "tunewise.json"}


# --- What it leaves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tuning", ["lora", "full", "scratch"])
def test_a_model_comes_out_registered_certified_and_ready_to_be_asked(
    spec: TuneSpec, settings: Settings, tmp_path: Path, tuning: str
) -> None:
    out = tmp_path / "run"
    record = tune(with_training(spec, tuning=tuning), out, settings=settings)
    assert record.id.startswith("ft:")
    assert ":test:count:" in record.id
    assert Registry(settings.registry).model(record.id) == record
    assert record.state == "candidate"
    manifest = read_json(out / "manifest.json")
    assert manifest["parity"]["passed"]
    assert manifest["split"] == {"train": 35, "validation": 5, "groups": 40}
    assert manifest["spec"]["training"]["alpha"] == 8.0
    assert len(read_jsonl(out / "metrics.jsonl")) == manifest["training"]["steps"] == 10
    estimate = manifest["training"]["estimate"]
    assert estimate["memory_within"]
    assert estimate["first"]["currency"] == settings.currency
    assert estimate["seconds"] == manifest["training"]["seconds"]
    assert manifest["training"]["threads"] == torch.get_num_threads()
    assert manifest["training"]["precision"] == "float32"
    assert not (out / "checkpoints").exists()
    run = Registry(settings.registry).run(str(out))
    assert (run.status, run.model) == ("done", record.id)
    names = {path.name for path in (out / "model").iterdir()}
    expected = "adapter_model.safetensors" if tuning == "lora" else "model.safetensors"
    assert {expected, "chat_template.jinja", "tunewise.json"} <= names
    assert isinstance(answer(record, settings), str)


@pytest.mark.parametrize("tuning", ["lora", "full", "scratch"])
def test_the_same_seed_gives_the_same_bytes(
    spec: TuneSpec, settings: Settings, tmp_path: Path, tuning: str
) -> None:
    spec = with_training(spec, tuning=tuning)
    for name in ("a", "b"):
        tune(spec, tmp_path / name, settings=settings)
    assert hashes(tmp_path / "a" / "model") == hashes(tmp_path / "b" / "model")


def test_a_model_from_scratch_has_nothing_of_the_base(
    spec: TuneSpec, settings: Settings, tmp_path: Path
) -> None:
    # At a rate this low, weights stay where they began. The base itself is random, from seed 0.
    spec = spec.model_copy(update={"seed": 1})
    kept = {}
    for tuning in ("full", "scratch"):
        record = tune(
            with_training(spec, tuning=tuning, learning_rate=1e-9), tmp_path / tuning, settings=settings
        )
        kept[tuning] = load_base(BaseModel("x", "x", Path(record.path)), settings).model.state_dict()
    base = load_base(BaseModel("x", "x", Path(spec.base)), settings).model.state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    assert (kept["full"][name] - base[name]).abs().max() < 1e-6
    assert (kept["scratch"][name] - base[name]).abs().mean() > 1e-2


@pytest.mark.parametrize("tuning", ["full", "scratch"])
def test_a_whole_model_is_exported_as_it_is(
    spec: TuneSpec, settings: Settings, tmp_path: Path, tuning: str
) -> None:
    record = tune(with_training(spec, tuning=tuning), tmp_path / "run", settings=settings)
    export_model(find_source(record, settings), "safetensors", tmp_path / "export")
    ours = load_base(BaseModel("x", "x", Path(record.path)), settings).model.state_dict()
    theirs = load_base(BaseModel("x", "x", tmp_path / "export"), settings).model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours)


@pytest.mark.parametrize("tuning", ["full", "scratch"])
def test_a_run_measures_a_whole_model_as_it_does_an_adapter(
    spec: TuneSpec, settings: Settings, tmp_path: Path, tuning: str
) -> None:
    training = with_training(spec, tuning=tuning).training
    run = RunSpec(
        **spec.model_dump(exclude={"training"}), approaches=("majority", "fine-tuned"), training=training
    )
    verdict = pipeline.run(run, tmp_path / "run", settings=settings)
    assert [row.name for row in verdict.approaches] == ["majority", "fine-tuned"]
    assert verdict.approaches[1].failed == 0
    assert read_json(tmp_path / "run" / "manifest.json")["parity"]["passed"]
    assert decide_run(tmp_path / "run") == verdict


def device(name: str, is_there: bool) -> Any:
    return pytest.param(
        name, marks=[getattr(pytest.mark, name), pytest.mark.skipif(not is_there, reason=name)]
    )


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize(
    "name",
    [device("cuda", torch.cuda.is_available()), device("mps", torch.backends.mps.is_available())],
)
def test_a_gpu_takes_the_same_loop(
    spec: TuneSpec, settings: Settings, tmp_path: Path, tuning: str, name: str
) -> None:
    settings = replace(settings, device=name)
    spec = with_training(spec, tuning=tuning, epochs=6, learning_rate=5e-3)
    tune(spec, tmp_path / "run", settings=settings)
    manifest = read_json(tmp_path / "run" / "manifest.json")
    assert manifest["parity"]["passed"]
    assert manifest["parity"]["precision"] == ("bfloat16" if name == "cuda" else "float32")
    curve = manifest["training"]["curve"]
    assert curve[-1]["train_loss"] < 0.8 * curve[0]["train_loss"]


def test_all_weights_stay_in_fp32_where_the_device_computes_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "precision_on", lambda device: "bfloat16")
    spec = TrainSpec(tuning="full", epochs=4, batch_size=4, learning_rate=5e-3).resolve(12)
    tuning = tuning_module.FullTuning(make_loaded())
    with tuning.computing():
        assert predict(tuning.model, make_token_rows(2))[0].dtype == torch.float32
        assert tuning.model.lm_head(torch.ones(1, 32)).dtype == torch.bfloat16
    result = train_weights(tuning, make_token_rows(12), make_token_rows(4), spec)
    assert {weight.dtype for weight in tuning.weights.values()} == {torch.float32}
    assert result.metrics[-1].train_loss < 0.8 * result.metrics[0].train_loss


# --- Going on from a model ---------------------------------------------------------------------------


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_a_training_goes_on_from_a_model(
    spec: TuneSpec, settings: Settings, tmp_path: Path, tuning: str
) -> None:
    spec = with_training(spec, tuning=tuning, rslora=tuning == "lora")
    first = tune(spec, tmp_path / "first", settings=settings)
    again = with_training(
        spec, start=Path(first.path), rank="auto", rslora=False, learning_rate=1e-9, warmup_share=0.0
    )
    second = tune(again, tmp_path / "second", settings=settings)
    losses = [
        read_json(tmp_path / name / "manifest.json")["training"]["validation_loss"]
        for name in ("first", "second")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert second.id != first.id
    assert second.base == first.base
    if tuning == "lora":
        config = read_json(Path(second.path) / "adapter_config.json")
        assert (config["r"], config["use_rslora"]) == (4, True)


def test_an_adapter_cannot_go_on_at_another_rank_nor_on_another_base(
    spec: TuneSpec, settings: Settings, tmp_path: Path
) -> None:
    first = tune(spec, tmp_path / "first", settings=settings)
    with pytest.raises(SpecError, match=r"rank is 8, but the adapter in .* has 4"):
        tune(with_training(spec, start=Path(first.path), rank=8), tmp_path / "b", settings=settings)
    other = spec.model_copy(update={"base": str(save_base(tmp_path / "other"))})
    with pytest.raises(SpecError, match="was trained on"):
        tune(with_training(other, start=Path(first.path)), tmp_path / "c", settings=settings)
    with pytest.raises(SpecError, match="starts from random weights"):
        tune(with_training(spec, start=Path(first.path), tuning="scratch"), tmp_path / "d", settings=settings)


# --- What it refuses ---------------------------------------------------------------------------------


def test_a_data_file_that_changed_since_is_named(spec: TuneSpec, settings: Settings, tmp_path: Path) -> None:
    tune(spec, tmp_path / "run", settings=settings)
    write_rows(spec.data, 41)
    with pytest.raises(RunFolderError, match=r"what .*rows\.jsonl holds was '.*, is '"):
        tune(spec, tmp_path / "run", settings=settings)


def test_two_trainings_do_not_share_a_folder(spec: TuneSpec, settings: Settings, tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", {}), pytest.raises(RunFolderError, match="another run is using"):
        tune(spec, tmp_path / "run", settings=settings)


def test_too_few_rows_and_too_long_ones_are_named(spec: TuneSpec, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows.jsonl:\d+: this conversation has \d+ tokens"):
        tune(with_training(spec, max_tokens=3), tmp_path / "a", settings=settings)
    write_rows(spec.data, 9)
    with pytest.raises(DataError, match="9 usable examples: at least 10"):
        tune(spec, tmp_path / "b", settings=settings)


def test_a_folder_that_cannot_be_written_is_named(spec: TuneSpec, settings: Settings) -> None:
    with tempfile.TemporaryDirectory() as name, as_nobody(Path(name)):
        folder = Path(name)
        spec = spec.model_copy(
            update={"data": write_rows(folder / "rows.jsonl"), "base": str(save_base(folder / "base"))}
        )
        (folder / "closed").mkdir(mode=0o500)
        with pytest.raises(RunFolderError, match=r"cannot write to the run folder .*closed.*denied"):
            tune(spec, folder / "closed" / "run", settings=replace(settings, home=folder / "home"))


def test_a_full_disk_is_named_and_once_there_is_room_nothing_was_lost(
    spec: TuneSpec, settings: Settings, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can make a small disk")
    spec = with_training(spec, checkpoint_seconds=0.0)
    on_disk = replace(settings, home=disk / "home")
    try:
        Registry(on_disk.registry)
        filler = disk / "filler"
        filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 120_000)))
        with pytest.raises(
            RunFolderError, match=r"cannot be written to .*No space left on device.* Make room"
        ):
            tune(spec, disk / "run", settings=on_disk)
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert list((disk / "run" / "checkpoints").glob("step-*"))
        tune(spec, disk / "run", settings=on_disk)
        tune(spec, tmp_path / "whole", settings=settings)
        assert hashes(disk / "run" / "model") == hashes(tmp_path / "whole" / "model")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Give `folder` to a user whom modes hold back, as they do not hold back root."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_diverged_training_leaves_its_best_weights_as_a_model(
    spec: TuneSpec, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))
    real = loop.accumulate_gradients
    monkeypatch.setattr(
        loop, "accumulate_gradients", lambda *a: real(*a) if next(calls) < 8 else float("nan")
    )
    with pytest.raises(TrainingError, match=r"nan at step 9.* The best weights so far, of step 5, are in"):
        tune(spec, tmp_path / "run", settings=settings)
    assert (tmp_path / "run" / "model" / "adapter_model.safetensors").is_file()
    assert Registry(settings.registry).run(str(tmp_path / "run")).status == "failed"


# --- Stopped and killed --------------------------------------------------------------------------------


class StopInTraining(SilentProgress):
    """Ctrl-C while the third step is under way."""

    def task(self, label: str, total: float) -> Any:
        return super().task(label, total) if label != "training" else self._stopping()

    @contextmanager
    def _stopping(self) -> Iterator[Any]:
        yield self
        assert self.steps == 3

    steps = -1

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.steps += 1
        if self.steps == 3:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_goes_on_within_its_training(spec: TuneSpec, settings: Settings, tmp_path: Path) -> None:
    run = RunSpec(**spec.model_dump(exclude={"training"}), approaches=("fine-tuned",), training=spec.training)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(run, tmp_path / "stopped", StopInTraining(), settings)
    assert Registry(settings.registry).run(str(tmp_path / "stopped")).status == "interrupted"
    assert len(read_jsonl(tmp_path / "stopped" / "metrics.jsonl")) == 3
    for out in (tmp_path / "stopped", tmp_path / "whole"):
        pipeline.run(run, out, settings=settings)
    weights = "model/adapter_model.safetensors"
    assert (tmp_path / "stopped" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    assert without_seconds(tmp_path / "stopped") == without_seconds(tmp_path / "whole")
    assert not (tmp_path / "stopped" / "checkpoints").exists()


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bytes(
    spec: TuneSpec, settings: Settings, tmp_path: Path, kills: int
) -> None:
    """SIGKILL at random moments: while the base is loaded, a step computed, a checkpoint or model written."""
    spec = with_training(spec, epochs=10, dropout=0.1, checkpoint_seconds=0.0, validations=8, patience=8)
    # What is forked from has imported everything and computed nothing, so each start takes no time.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tunewise.training", "tunewise.engines.local", "transformers"])

    def start(out: Path) -> Any:
        process = context.Process(target=tune, args=(spec, out, None, settings))
        process.start()
        return process

    start(tmp_path / "warm up").join()
    began = time.monotonic()
    start(tmp_path / "whole").join()
    duration = time.monotonic() - began
    moments = random.Random(kills)
    killed, rounds = 0, 0
    while killed < kills:
        out = tmp_path / f"killed {rounds}"
        process = start(out)
        process.join(moments.uniform(0, duration))
        if process.is_alive():
            process.kill()
            process.join()
            killed += 1
        else:  # It came to its end: the next one starts anew.
            assert process.exitcode == 0
            rounds += 1
    process = start(tmp_path / f"killed {rounds}")
    process.join()
    assert process.exitcode == 0
    for out in (tmp_path / f"killed {number}" for number in range(rounds + 1)):
        assert hashes(out / "model") == hashes(tmp_path / "whole" / "model")
        assert without_seconds(out) == without_seconds(tmp_path / "whole")
        assert not (out / "checkpoints").exists()


def without_seconds(out: Path) -> list[dict[str, Any]]:
    return [{**row, "seconds": 0} for row in read_jsonl(out / "metrics.jsonl")]
