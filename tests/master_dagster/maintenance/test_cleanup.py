"""Which journals and leftovers are deleted."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from assets.framework.publication import NotPublished
from assets.quality.partition_status import expected_fingerprints
from master_dagster.maintenance.cleanup import delete_journals, delete_leftovers, remove_leftovers
from resources.chat.profile import load_profile
from resources.chat.spending_log import read_spending
from resources.lake.tables import Lake
from tests.sample_project import SampleProject

HOUR = timedelta(hours=1)


def delete(project: SampleProject, before: datetime, **changed: Any) -> int:
    ours = project.deployment
    return delete_journals(
        ours.lake(),
        expected_fingerprints(changed.get("profile", ours.profile), ours.scenarios, ours.prompts, ours.quality_rules),
        before,
    )


def test_journals_of_current_released_partitions_are_deleted_by_age(finished_project: SampleProject) -> None:
    store = finished_project.deployment.lake().store
    now = datetime.now(UTC)
    assert store.list("_journal")
    assert delete(finished_project, now - HOUR) == 0
    assert delete(finished_project, now + HOUR, profile=load_profile("laptop")) == 0  # stale with other models
    assert delete(finished_project, now + HOUR) > 0
    assert store.list("_journal") == []


def test_before_the_first_release_no_journal_is_deleted(project: SampleProject) -> None:
    with pytest.raises(NotPublished):
        delete(project, datetime.now(UTC))


# -- leftovers ---------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BEFORE, MONTH_AGO = NOW - timedelta(days=14), NOW - timedelta(days=30)
TINY = "checkpoints/tiny/ori/c1"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path))


def put(lake: Lake, paths: Sequence[str], at: datetime) -> None:
    for path in paths:
        lake.store.put(path, b"{}")
        local = lake.store.local_path(path)
        assert local is not None
        os.utime(local, (at.timestamp(), at.timestamp()))


def paths(lake: Lake) -> list[str]:
    return [file.path for file in lake.store.list("")]


@pytest.mark.parametrize(
    ("old", "new", "deleted"),
    [
        pytest.param(["boost_qa/releases/r1/x"], [], {"unfinished folders": ["boost_qa/releases/r1"]}, id="release"),
        pytest.param(["training_sets/ori/s1/x"], [], {"unfinished folders": ["training_sets/ori/s1"]}, id="set"),
        pytest.param([f"{TINY}/x", f"{TINY}/y/z"], [], {"unfinished folders": [TINY]}, id="checkpoint"),
        pytest.param([], ["boost_qa/releases/r1/x"], {}, id="not old"),
        pytest.param([f"{TINY}/x"], [f"{TINY}/attempts/0001/heartbeat.json"], {}, id="heartbeat of a running job"),
        pytest.param(["boost_qa/releases/r1/x", "boost_qa/releases/r1/manifest.json"], [], {}, id="finished"),
        pytest.param(
            [f"{TINY}/manifest.json", f"{TINY}/attempts/0001/messages/1.json", f"{TINY}/attempts/0001/launched.json"],
            [],
            {"messages of finished jobs": [f"{TINY}/attempts/0001/messages/1.json"]},
            id="messages of a finished job",
        ),
        pytest.param(
            [f"{TINY}/attempts/0001/messages/1.json"], [f"{TINY}/x"], {}, id="messages of a job that is not finished"
        ),
        pytest.param(
            ["boost_qa/latest.json", "training_sets/ori/latest.json", "checkpoints/tiny/ori/latest.json"],
            [],
            {},
            id="pointers",
        ),
        pytest.param(["raw_seeds/source=x/part.parquet", "lake.json", "_journal/x/1.journal"], [], {}, id="tables"),
    ],
)
def test_what_is_left_over(lake: Lake, old: list[str], new: list[str], deleted: dict[str, list[str]]) -> None:
    put(lake, old, MONTH_AGO)
    put(lake, new, NOW)
    found = remove_leftovers(lake, BEFORE)
    assert {kind: some for kind, some in found.items() if some} == deleted
    gone = tuple(path for some in deleted.values() for path in some)
    assert paths(lake) == sorted(path for path in [*old, *new] if not path.startswith(gone or "-"))


def test_the_hours_of_a_job_are_recorded_before_its_folder_is_deleted(lake: Lake) -> None:
    launched = {"job": "tiny-1", "run_id": "night", "time": "2026-01-31T10:00:00+00:00", "usd_per_hour": 2.0}
    heartbeat = {"time": "2026-01-31T13:00:00+00:00", "seconds": 7200}
    for name, content in (("launched", launched), ("heartbeat", heartbeat)):
        lake.store.put(f"{TINY}/attempts/0001/{name}.json", json.dumps(content).encode())
    remove_leftovers(lake, datetime.now(UTC) + HOUR)
    assert lake.store.list(TINY) == []
    assert [(row.run, row.hours, row.cost) for row in read_spending(lake.store)] == [("night", 2.0, 4.0)]


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_job_lists_what_it_deletes_and_a_dry_run_deletes_nothing(
    lake: Lake, instance: DagsterInstance, dry_run: bool
) -> None:
    put(lake, ["boost_qa/releases/r1/README.md"], MONTH_AGO)
    config = {"ops": {"delete_old_leftovers": {"config": {"dry_run": dry_run}}}}
    result = delete_leftovers.execute_in_process(config, instance=instance, resources={"lake": lake})
    metadata = next(event.step_output_data.metadata for event in result.all_events if event.is_successful_output)
    assert metadata["unfinished folders"].value == 1
    assert "boost_qa/releases/r1" in str(metadata["would be deleted" if dry_run else "deleted"].value)
    assert bool(paths(lake)) is dry_run


def test_leftovers_on_s3_are_deleted(s3_root: str) -> None:
    lake = Lake.at(s3_root)
    lake.store.put("boost_qa/releases/r1/README.md", b"")
    assert remove_leftovers(lake, datetime.now(UTC) + HOUR)["unfinished folders"] == ["boost_qa/releases/r1"]
    assert lake.store.list("boost_qa") == []
