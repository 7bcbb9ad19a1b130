"""Of the processes of one machine, one at a time materializes a partition."""

import subprocess
import sys
from pathlib import Path

import pytest

from resources.claims import claim_partition

PROJECT = Path(__file__).parents[2]
CLAIMS_UNTIL_KILLED = """
import sys
from resources.claims import claim_partition
claim = claim_partition(sys.argv[1])
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_a_claimed_partition_is_claimed_again_only_after_its_release() -> None:
    first = claim_partition("lake debate|x-0000")
    assert first is not None
    assert claim_partition("lake debate|x-0000") is None
    assert claim_partition("lake debate|x-0001") is not None
    first.release()
    first.release()
    assert claim_partition("lake debate|x-0000") is not None


def test_a_killed_process_loses_its_claims() -> None:
    command = [sys.executable, "-c", CLAIMS_UNTIL_KILLED, "debate|x-0000"]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        assert claim_partition("debate|x-0000") is None
        other.kill()
    assert claim_partition("debate|x-0000") is not None


def test_without_a_runtime_folder_every_claim_is_granted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "master-dagster").write_text("in the way")
    assert claim_partition("debate|x-0000") is not None
    assert claim_partition("debate|x-0000") is not None
    assert "two runs may materialize the same one" in caplog.text
