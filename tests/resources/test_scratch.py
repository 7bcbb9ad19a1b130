"""Temporary files of killed processes are deleted by the next one; those in use and new ones stay."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.lake.store import LocalStore
from resources.scratch import NEW_SECONDS, delete_abandoned, mark_in_use, scratch_folder, scratch_home

WRITER = """
import io, sys, time
from pathlib import Path
from resources.lake.store import LocalStore
from resources.scratch import scratch_folder

with scratch_folder("release") as folder, LocalStore(Path(sys.argv[1]))._staged("t/part.parquet", io.BytesIO(b"rows")):
    (folder / "inner").mkdir()
    print("written", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process with a scratch folder and a temporary file in the lake `lake`, both long since written."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "lake")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        for path in leftovers(tmp_path):
            age(path)
        yield process
        process.kill()


def leftovers(tmp_path: Path) -> list[Path]:
    return [*scratch_home().iterdir(), *(tmp_path / "lake" / "t").iterdir()]


def age(path: Path, seconds: float = NEW_SECONDS + 1) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def clean(tmp_path: Path) -> list[str]:
    delete_abandoned(scratch_home().iterdir())
    return LocalStore(tmp_path / "lake").delete_abandoned()


def test_what_a_killed_process_left_is_deleted_and_not_before(tmp_path: Path, writer: "subprocess.Popen[str]") -> None:
    assert len(leftovers(tmp_path)) == 2
    assert clean(tmp_path) == []
    assert len(leftovers(tmp_path)) == 2
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    (staged,) = clean(tmp_path)
    assert staged.startswith("t/.part.parquet.")
    assert leftovers(tmp_path) == []


def test_a_new_scratch_folder_deletes_those_of_dead_processes(tmp_path: Path, writer: "subprocess.Popen[str]") -> None:
    (dead,) = scratch_home().iterdir()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    with scratch_folder("release") as own:
        assert not dead.exists()
        assert list(scratch_home().iterdir()) == [own]
    assert list(scratch_home().iterdir()) == []


@pytest.mark.parametrize(("seconds", "is_deleted"), [(0, False), (NEW_SECONDS + 1, True), (-86400, True)])
def test_a_file_that_its_process_may_not_have_locked_yet_stays(
    tmp_path: Path, seconds: float, is_deleted: bool
) -> None:
    file = tmp_path / "file"
    file.touch()
    age(file, seconds)
    assert delete_abandoned([file]) == ([file] if is_deleted else [])


def test_a_file_in_use_and_a_link_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(tmp_path)
    with file.open("w") as opened:
        mark_in_use(opened.fileno())
        age(file)
        assert delete_abandoned([file, link, tmp_path / "nowhere"]) == []
