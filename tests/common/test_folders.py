"""Run folders: what is archived, and what is left alone."""

import pytest

from restoration.common import folders
from restoration.common.folders import OPTIONS_FILE, make_folder


def test_a_new_or_empty_folder(tmp_path):
    for _ in range(2):
        assert make_folder(tmp_path / "above/run") is None
        assert (tmp_path / "above/run").is_dir()


def test_an_earlier_run_is_archived(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.time, "strftime", lambda pattern: "now")
    for number in range(3):
        archived = make_folder(tmp_path / "run")
        assert (archived is None) == (number == 0)
        (tmp_path / "run" / OPTIONS_FILE).touch()
        (tmp_path / "run/file").write_text(str(number))
    assert (tmp_path / "run_archived_now/file").read_text() == "0"
    assert (tmp_path / "run_archived_now_2/file").read_text() == "1"
    assert make_folder(tmp_path / "run", keep=True) is None
    assert (tmp_path / "run/file").read_text() == "2"


@pytest.mark.parametrize("keep", [False, True])
def test_other_folders_are_left_alone(tmp_path, keep):
    photos = tmp_path / "Photos"
    (photos / "2026").mkdir(parents=True)
    (photos / "2026" / OPTIONS_FILE).touch()  # not in the folder itself
    with pytest.raises(ValueError, match=r"earlier run \(with options.yml\), got .*Photos"):
        make_folder(photos, keep)
    assert [path.name for path in tmp_path.iterdir()] == ["Photos"]


def test_other_signs_of_an_earlier_run(tmp_path):
    (tmp_path / "run/training_states").mkdir(parents=True)
    (tmp_path / "run/training_states/5.state").touch()
    signs = (OPTIONS_FILE, "training_states/*.state")
    with pytest.raises(ValueError, match="left as they are"):
        make_folder(tmp_path / "run", keep=True)
    assert make_folder(tmp_path / "run", keep=True, signs=signs) is None
    assert make_folder(tmp_path / "run", signs=signs) is not None
    assert not any((tmp_path / "run").iterdir())
