from __future__ import annotations

from pathlib import Path

import pytest

from tunewise.errors import RunFolderError
from tunewise.store.run_folder import RunFolder, is_finished

IDENTITY = {"data": "abc", "seed": 0}


def fail() -> None:
    raise AssertionError("a finished stage must not be computed again")


def test_a_finished_stage_is_read_back_and_not_computed_again(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", IDENTITY) as folder:
        first = folder.stage("train", lambda: {"loss": 0.5})
    with RunFolder(tmp_path / "run", IDENTITY) as folder:
        again = folder.stage("train", fail)
    assert (first.value, first.resumed) == ({"loss": 0.5}, False)
    assert (again.value, again.resumed, again.seconds) == ({"loss": 0.5}, True, first.seconds)


def test_a_stage_may_be_named_after_a_model_of_any_name(tmp_path: Path) -> None:
    stage = "test-remote:org/model.v2"
    assert not is_finished(tmp_path / "run", stage)
    with RunFolder(tmp_path / "run", IDENTITY) as folder:
        folder.stage(stage, lambda: 1)
        assert folder.stage(stage, fail).resumed
        assert list(folder.timings()) == [stage]
    assert is_finished(tmp_path / "run", stage)


def test_a_stage_that_was_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with RunFolder(tmp_path, IDENTITY) as folder:
        with pytest.raises(KeyboardInterrupt):
            folder.stage("train", interrupted)
        assert folder.stage("train", lambda: 1).value == 1


def test_another_run_is_refused_with_every_difference(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY):
        pass
    with pytest.raises(RunFolderError, match=r"data was 'abc', is 'xyz'; seed was 0, is 1"):
        RunFolder(tmp_path, {"data": "xyz", "seed": 1})


def test_two_runs_on_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY), pytest.raises(RunFolderError, match="another run is using"):
        RunFolder(tmp_path, IDENTITY)


def test_a_refused_run_does_not_keep_the_folder_locked(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY):
        pass
    with pytest.raises(RunFolderError):
        RunFolder(tmp_path, {"data": "xyz", "seed": 0})
    with RunFolder(tmp_path, IDENTITY):
        pass


def test_a_folder_with_somebody_elses_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"other files \(thesis.txt\)"):
        RunFolder(tmp_path, IDENTITY)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_path_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file: give a folder"):
        RunFolder(tmp_path / "file", IDENTITY)


def test_reads_of_the_test_set_outlive_the_process_that_made_them(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.log_test_read("test zero-shot", 1.0)
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.log_test_read("report", 2.0)
        assert [read["purpose"] for read in folder.test_reads()] == ["test zero-shot", "report"]


def test_stages_are_timed_in_the_order_they_finished(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.stage("z", lambda: 1)
        folder.stage("a", lambda: 2)
        assert list(folder.timings()) == ["z", "a"]


def test_what_a_run_killed_as_it_began_left_behind_is_no_other_file(tmp_path: Path) -> None:
    (tmp_path / ".run.json.123.tmp").write_text("{")
    with RunFolder(tmp_path, IDENTITY):
        assert (tmp_path / "run.json").is_file()


def test_a_difference_is_called_what_the_user_knows_it_by(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY):
        pass
    with pytest.raises(RunFolderError, match=r"what a\.jsonl holds was 'abc', is 'xyz'"):
        RunFolder(tmp_path, {**IDENTITY, "data": "xyz"}, {"data": "what a.jsonl holds"})
