"""The folder that the processes of one user share."""

import os
import stat
from pathlib import Path

import pytest

from resources.runtime_folder import NoRuntimeFolder, runtime_folder


def test_the_runtime_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    folder = runtime_folder()

    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_runtime_folder_open_to_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "master-dagster").mkdir()
    (tmp_path / "master-dagster").chmod(0o777)

    with pytest.raises(NoRuntimeFolder, match="mode 0700"):
        runtime_folder()


def test_a_link_in_place_of_the_runtime_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "master-dagster").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NoRuntimeFolder, match="a folder of your own"):
        runtime_folder()


def test_without_a_runtime_directory_the_temporary_one_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert runtime_folder() == tmp_path / f"master-dagster-{os.getuid()}"
