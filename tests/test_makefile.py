"""What `make` writes for Dagster's commands."""

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (None, ["DAGSTER_HOME={home}"]),
        ("MASTER_LAKE_ROOT=lake", ["MASTER_LAKE_ROOT=lake", "DAGSTER_HOME={home}"]),
        ("DAGSTER_HOME=/mine\nKEY=x\n", ["DAGSTER_HOME=/mine", "KEY=x"]),
        ("export DAGSTER_HOME=/mine\n", ["export DAGSTER_HOME=/mine"]),
    ],
    ids=["no file", "without the line", "with a home of its own", "with an exported home"],
)
def test_dot_env_gets_the_instance_also_where_it_was_made_before(
    tmp_path: Path, given: str | None, lines: list[str]
) -> None:
    (tmp_path / "infra").mkdir()
    for name in ("Makefile", "infra/dagster.yaml"):
        shutil.copy(PROJECT / name, tmp_path / name)
    if given is not None:
        (tmp_path / ".env").write_text(given)
    for _ in range(2):
        subprocess.run(["make", "--silent", ".env"], cwd=tmp_path, check=True)
    written = [line for line in (tmp_path / ".env").read_text().splitlines() if line]
    assert written == [line.format(home=tmp_path / ".dagster") for line in lines]
    assert (tmp_path / ".dagster" / "dagster.yaml").read_text() == (tmp_path / "infra" / "dagster.yaml").read_text()
