import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance

from assets.framework.publication import NotPublished
from master_dagster.maintenance.sweeps import Leftovers, sweep_dead_writers, sweep_leftovers, sweep_released
from resources.chat.profile import load_profile
from resources.lake.tables import Lake
from tests.sample_project import SampleProject

LATER = timedelta(hours=1)


def sweep(project: SampleProject, before: datetime) -> int:
    here = project.deployment
    return sweep_released(here.lake(), here.profile, here.prompts, here.quality_rules, before)


def journals(lake: Lake) -> list[str]:
    return [file.path for file in lake.store.list("_journal")]


def test_journals_of_released_partitions_are_let_go(finished_project: SampleProject) -> None:
    lake = finished_project.deployment.lake()
    assert journals(lake)
    assert sweep(finished_project, datetime.now(UTC) + LATER) > 0
    assert journals(lake) == []


def test_young_partitions_keep_their_journals(finished_project: SampleProject) -> None:
    assert sweep(finished_project, datetime.now(UTC) - LATER) == 0


def test_a_stale_partition_keeps_its_journal(finished_project: SampleProject) -> None:
    here = finished_project.deployment
    other = load_profile("laptop")
    assert sweep_released(here.lake(), other, here.prompts, here.quality_rules, datetime.now(UTC) + LATER) == 0


def test_before_the_first_release_nothing_is_swept(project: SampleProject) -> None:
    with pytest.raises(NotPublished):
        sweep(project, datetime.now(UTC))


# -- what dead writers left --------------------------------------------------------------------------------------------

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BEFORE = NOW - timedelta(days=14)
MONTH_AGO = NOW - timedelta(days=30)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path))


def put(lake: Lake, *paths: str, at: datetime = MONTH_AGO) -> None:
    for path in paths:
        lake.store.put(path, b"{}")
        local = lake.store.local_path(path)
        assert local is not None
        os.utime(local, (at.timestamp(), at.timestamp()))


def paths(lake: Lake) -> list[str]:
    return [file.path for file in lake.store.list("")]


@pytest.mark.parametrize("folder", ["boost_qa/releases/r1", "training_sets/ori/s1", "checkpoints/smollm2/ori/c1"])
def test_an_old_folder_without_manifest_is_swept(lake: Lake, folder: str) -> None:
    put(lake, f"{folder}/data/train.parquet", f"{folder}/README.md")
    put(lake, f"{folder}-whole/data/train.parquet", f"{folder}-whole/manifest.json")
    assert sweep_leftovers(lake, BEFORE) == Leftovers([], [folder], [])
    assert paths(lake) == [f"{folder}-whole/data/train.parquet", f"{folder}-whole/manifest.json"]


def test_a_folder_with_a_heart_that_beats_is_kept(lake: Lake) -> None:
    put(lake, "checkpoints/smollm2/ori/c1/specification.json", "checkpoints/smollm2/ori/c1/progress/10/state.json")
    put(lake, "checkpoints/smollm2/ori/c1/attempts/0001/heartbeat.json", at=NOW)
    assert sweep_leftovers(lake, BEFORE) == Leftovers([], [], [])
    assert len(paths(lake)) == 3


def test_old_messages_of_finished_checkpoints_are_swept_and_those_of_others_kept(lake: Lake) -> None:
    done, going = "checkpoints/smollm2/ori/c1", "checkpoints/smollm2/boost_qa/c2"
    kept = [f"{done}/attempts/0001/claim.json", f"{done}/attempts/messages.json", f"{done}/manifest.json"]
    put(lake, f"{done}/attempts/0001/messages/1.json", *kept)
    put(lake, f"{going}/attempts/0001/messages/1.json")
    put(lake, f"{going}/attempts/0001/heartbeat.json", at=NOW)
    assert sweep_leftovers(lake, BEFORE).messages == [f"{done}/attempts/0001/messages/1.json"]
    assert [path for path in paths(lake) if path.startswith(done)] == kept


def test_pointers_and_tables_are_no_leftovers(lake: Lake) -> None:
    put(lake, "boost_qa/latest.json", "training_sets/ori/latest.json", "checkpoints/smollm2/ori/latest.json")
    put(lake, "raw_seeds/source=sums/shard=sums-0000/part.parquet", "lake.json", "_journal/x/1.journal")
    assert sweep_leftovers(lake, BEFORE) == Leftovers([], [], [])
    assert len(paths(lake)) == 6


def test_what_is_not_old_is_kept(lake: Lake) -> None:
    put(lake, "boost_qa/releases/r1/README.md", at=NOW)
    assert sweep_leftovers(lake, BEFORE) == Leftovers([], [], [])
    assert paths(lake) == ["boost_qa/releases/r1/README.md"]


def test_a_dry_run_tells_and_deletes_nothing(lake: Lake, instance: DagsterInstance) -> None:
    put(lake, "boost_qa/releases/r1/README.md")
    config = {"ops": {"delete_leftovers": {"config": {"dry_run": True}}}}
    result = sweep_dead_writers.execute_in_process(config, instance=instance, resources={"lake": lake})
    told = result.all_events
    metadata = next(event.step_output_data.metadata for event in told if event.is_successful_output)
    assert metadata["unfinished folders"].value == 1
    assert "boost_qa/releases/r1" in str(metadata["would be deleted"].value)
    assert paths(lake) == ["boost_qa/releases/r1/README.md"]


def test_the_job_deletes_and_tells_what(lake: Lake, instance: DagsterInstance) -> None:
    put(lake, "boost_qa/releases/r1/README.md")
    result = sweep_dead_writers.execute_in_process(instance=instance, resources={"lake": lake})
    metadata = next(event.step_output_data.metadata for event in result.all_events if event.is_successful_output)
    assert "boost_qa/releases/r1" in str(metadata["deleted"].value)
    assert paths(lake) == []


def test_leftovers_on_s3_are_swept_too(s3_root: str) -> None:
    lake = Lake.at(s3_root)
    lake.store.put("boost_qa/releases/r1/README.md", b"")
    assert sweep_leftovers(lake, datetime.now(UTC) + LATER).unfinished_folders == ["boost_qa/releases/r1"]
    assert lake.store.list("boost_qa") == []
