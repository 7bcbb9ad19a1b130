from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, materialize

from assets.framework.partitions import SHARDS, sources
from assets.seeds import assets as stage
from assets.seeds.assets import seed_assets
from assets.seeds.checks import CHECKS
from assets.seeds.configuration import SeedsConfiguration
from assets.seeds.schema import EMBEDDINGS, SEEDS
from resources.configuration import ConfigurationError
from resources.lake.store import StoreUnreachable
from resources.lake.tables import Lake

ATTACK = "![x](javascript:alert(1)) <script>alert(1)</script>"


class FlatEmbedder:
    identity = "test:flat"

    def embed(self, texts: Sequence[str]) -> Any:
        return np.tile(np.array([0.6, 0.8], dtype=np.float32), (len(texts), 1))


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def configuration(tmp_path: Path) -> SeedsConfiguration:
    """Two sources: `good` of three rows in two shards, `bad` whose file does not exist."""
    lines = ["question,answer", f'"{ATTACK}",1', "What is 1 + 1?,2", "What is 2 + 2?,4"]
    (tmp_path / "good.csv").write_text("\n".join(lines))
    fields = {"question": "question", "answer": "answer"}
    given = [
        {"name": name, "files": [f"{name}.csv"], "fields": fields, "domain": "math", "licence": "CC0-1.0"}
        for name in ("good", "bad")
    ]
    return SeedsConfiguration.model_validate({"sources": given, "folder": tmp_path, "shard_size": 2})


def run(
    lake: Lake, configuration: SeedsConfiguration, instance: DagsterInstance, *partitions: str, **options: Any
) -> ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": partitions[0], "dagster/asset_partition_range_end": partitions[-1]}
    return materialize(
        [*seed_assets(sources(configuration.source_names)), *CHECKS],
        instance=instance,
        resources={"lake": lake, "seeds_configuration": configuration, "embedder": FlatEmbedder()},
        **({"partition_key": partitions[0]} if len(partitions) == 1 else {"tags": tags}),
        **options,
    )


def test_a_source_is_read_and_embedded_and_shown(
    lake: Lake, configuration: SeedsConfiguration, instance: DagsterInstance
) -> None:
    result = run(lake, configuration, instance, "good")
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())
    assert lake.read(SEEDS).height == lake.read(EMBEDDINGS).height == 3
    assert instance.get_dynamic_partitions(SHARDS) == ["good-0000", "good-0001"]
    (materialization,) = result.asset_materializations_for_node("raw_seeds")
    assert next(iter(materialization.metadata)) == "sample"
    assert materialization.metadata["dagster/partition_row_count"].value == 3


def test_the_text_of_a_seed_is_escaped_in_the_ui(
    lake: Lake, configuration: SeedsConfiguration, instance: DagsterInstance
) -> None:
    (configuration.folder / "good.csv").write_text(f'question,answer\n"{ATTACK}",1\n')
    (materialization,) = run(lake, configuration, instance, "good").asset_materializations_for_node("raw_seeds")
    shown = str(materialization.metadata["sample"].value)
    assert "alert" in shown
    assert "<script>" not in shown
    assert "![x]" not in shown


def test_one_bad_source_fails_the_run_and_the_others_are_written(
    lake: Lake, configuration: SeedsConfiguration, instance: DagsterInstance
) -> None:
    result = run(lake, configuration, instance, "good", "bad", raise_on_error=False)
    assert not result.success
    failure = result.failure_data_for_node("raw_seeds")
    assert failure is not None
    assert "1 of 2 partitions failed" in str(failure.user_failure_data)
    assert "bad.csv: there is no such file" in str(failure.user_failure_data)
    assert set(lake.read(SEEDS)["source"]) == {"good"}
    assert instance.get_materialized_partitions(AssetKey("raw_seeds")) == {"good"}


def test_a_wrong_retraction_list_stops_the_run_before_anything_is_read(
    lake: Lake, configuration: SeedsConfiguration, instance: DagsterInstance
) -> None:
    with pytest.raises(ConfigurationError, match="retractions"):
        run(lake, configuration.model_copy(update={"retractions": "nowhere.txt"}), instance, "good")
    assert lake.records(SEEDS) == []


def test_an_unreachable_lake_is_the_reason_of_the_failure(
    lake: Lake, configuration: SeedsConfiguration, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "take_in", Mock(side_effect=StoreUnreachable("the lake is unreachable")))
    result = run(lake, configuration, instance, "good", raise_on_error=False)
    failure = result.failure_data_for_node("raw_seeds")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert (failure.user_failure_data.description or "").startswith(
        "the lake is unreachable\n0 of 1 partitions are written; left: good"
    )
