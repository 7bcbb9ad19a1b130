"""The assets, run by Dagster, and what is in a repository of an adapter."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import AssetSelection, DagsterInstance, ExecuteInProcessResult, materialize

from assets.boost_qa.release import Release
from assets.checkpoints.checkpoint import CHECKPOINTS
from assets.framework.partitions import tunings
from assets.hub_publication.assets import hub_assets
from assets.hub_publication.checks import hub_checks
from assets.hub_publication.configuration import HubConfiguration
from assets.seeds.configuration import load_seeds_configuration
from resources.lake.published_folders import write_json
from tests.hub_server import HubServer
from tests.tiny_lake import TinyLake

HUB = HubConfiguration(repository="team/boost-qa", model_prefix="team/boost")
TUNINGS = tunings(["small"], ["boost_qa", "ori"])
CARD = "---\nlibrary_name: peft\n---\n\n# small tuned on boost_qa\n\nText.\n"


def run(tiny_lake: TinyLake, asset: AssetSelection | str, partition: str | None = None) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        return materialize(
            [*hub_assets(HUB, TUNINGS), *hub_checks(HUB)],
            selection=AssetSelection.assets(asset) if isinstance(asset, str) else asset,
            instance=instance,
            partition_key=partition,
            resources={"lake": tiny_lake.lake, "hub": HUB, "seeds_configuration": load_seeds_configuration("demo")},
            raise_on_error=False,
        )


def shown(result: ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def publish_checkpoint(tiny_lake: TinyLake, staged: Path, variant: str, base: str = "org/small-model") -> None:
    """A checkpoint of the form that the trainer writes."""
    for path, text in {
        "adapter/adapter_config.json": "{}",
        "adapter/adapter_model.safetensors": "weights",
        "tokenizer/tokenizer.json": "{}",
        "README.md": CARD,
    }.items():
        (staged / path).parent.mkdir(exist_ok=True, parents=True)
        (staged / path).write_text(text)
    write_json(staged / "metrics.json", {})
    manifest = {"base": {"model": base}, "variant": variant, "recipe": {"lora": {"rank": 8}}}
    CHECKPOINTS.begin(tiny_lake.lake, "small", variant).publish(staged, "0123456789abcdef", manifest)


def header(card: bytes) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.decode().split("---\n")[1])
    return found


def test_without_a_name_there_is_no_asset_and_no_check() -> None:
    assert (hub_assets(HubConfiguration(), TUNINGS), hub_checks(HubConfiguration())) == ([], [])


def test_the_asset_pushes_passes_its_check_and_shows_the_page(tiny_lake: TinyLake, hub_server: HubServer) -> None:
    release: Release = tiny_lake.release()
    result = run(tiny_lake, "published_release")
    assert {evaluation.passed for evaluation in result.get_asset_check_evaluations()} == {True}
    assert shown(result)["repository"] == f"{hub_server.address}/datasets/team/boost-qa/tree/{release.id}"
    assert "hf_writes_here" not in json.dumps(shown(result))


def test_the_check_fails_where_the_tag_is_missing(tiny_lake: TinyLake, hub_server: HubServer) -> None:
    tiny_lake.release()
    run(tiny_lake, "published_release")
    hub_server.repositories["dataset", "team/boost-qa"].tags.clear()
    result = run(tiny_lake, AssetSelection.checks_for_assets("published_release"))
    assert [evaluation.passed for evaluation in result.get_asset_check_evaluations()] == [False]


@pytest.mark.parametrize("token", ["", "hf_only_reads"])
def test_a_refusal_is_one_message_without_a_stack_trace(
    token: str, tiny_lake: TinyLake, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_lake.release()
    monkeypatch.setenv("HF_TOKEN", token)
    (failed,) = [event for event in run(tiny_lake, "published_release").all_node_events if event.is_step_failure]
    assert "HF_TOKEN" in str(failed.step_failure_data.user_failure_data.description)


@pytest.mark.parametrize(
    ("variant", "base", "links"),
    [
        ("boost_qa", "org/small-model", {"base_model": "org/small-model", "datasets": ["team/boost-qa"]}),
        ("ori", "org/small-model", {"base_model": "org/small-model"}),
        ("boost_qa", "s3://bucket/model", {"datasets": ["team/boost-qa"]}),
    ],
)
def test_an_adapter_is_linked_to_its_base_model_and_its_dataset(
    variant: str, base: str, links: dict[str, Any], tiny_lake: TinyLake, hub_server: HubServer, tmp_path: Path
) -> None:
    publish_checkpoint(tiny_lake, tmp_path / "staged", variant, base)
    assert run(tiny_lake, "published_adapters", f"small|{variant}").success
    name = f"team/boost-small-{variant}"
    stored = hub_server.read("model", name)
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "README.md"} < stored.keys()
    written = header(stored["README.md"])
    assert {key: written[key] for key in ("base_model", "datasets") if key in written} == links
    assert hub_server.repositories["model", name].tags.keys() == {"0123456789abcdef"}


def test_an_adapter_is_not_pushed_twice(tiny_lake: TinyLake, hub_server: HubServer, tmp_path: Path) -> None:
    publish_checkpoint(tiny_lake, tmp_path / "staged", "boost_qa")
    for added in (6, 0):
        assert shown(run(tiny_lake, "published_adapters", "small|boost_qa"))["files added or replaced"] == added


def test_the_base_model_as_it_is_pushes_nothing(tiny_lake: TinyLake, hub_server: HubServer) -> None:
    assert run(tiny_lake, "published_adapters", "small|untuned").success
    assert hub_server.repositories == {}
