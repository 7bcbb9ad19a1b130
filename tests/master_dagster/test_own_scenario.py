"""A scenario of the user's own, beside the shipped ones: the example `examples/scenarios/socratic_questioning.yaml`."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from dagster import DagsterInstance

from assets.boost_qa.release import RELEASES, Release
from assets.boost_qa.schema import RELEASE_ROW
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.estimate import turns_of_plans
from assets.dialogues.load_scenarios import load_scenarios
from assets.dialogues.schema import DIALOGUES
from assets.framework.scenarios.documentation import turns_table
from assets.framework.ui_metadata import table_markdown
from assets.quality.configuration import CONFIGURATIONS
from assets.quality.partition_status import partition_statuses
from assets.training_sets.ablations import variants
from master_dagster.deployment import load_deployment
from master_dagster.graph import build_definitions
from master_dagster.settings import Settings
from master_dagster.steps import StepFailed, run_step
from resources.chat.profile import PROFILES
from resources.lake.tables import Lake
from tests.fake_endpoint import SeenRequest
from tests.sample_project import SampleProject, play

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples" / "scenarios"
NAME = "socratic_questioning"
ROLES = ("socratic_teacher", "socratic_student")
BOTH = f"standard,{EXAMPLES}"
PAGE = (PROJECT / "docs" / "scenarios.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.end_to_end


def answer(request: SeenRequest) -> str:
    """As `play`, and what the two roles of the example say before the conclusion."""
    if request.model == "socratic_teacher":
        return "What is there at first, and what comes on top of it?"
    if request.model == "socratic_student" and "Your notes" not in request.text:
        return "Some things are there at first, and others are found later."
    return play(request)


@pytest.fixture
def own_project(project: SampleProject) -> SampleProject:
    """The project, with the example's roles in its profile and release rules that take what there is."""
    path = project.folder / "profile.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["roles"] |= {role: profile["roles"]["strong_student"] | {"model": role} for role in ROLES}
    path.write_text(yaml.safe_dump(profile))
    (project.folder / "release.yaml").write_text(yaml.safe_dump({"minimum_coverage": 0.1}))
    project.endpoint.answer_with(answer)
    return project


def card(lake: Lake, release: Release) -> str:
    """The text of a release's card."""
    return lake.store.get(f"{release.folder}/README.md").decode()


def run(project: SampleProject, instance: DagsterInstance, changes: Mapping[str, Any], *steps: tuple[str, Any]) -> None:
    """Materialise assets one after the other, with some settings changed."""
    definitions = build_definitions(load_deployment(project.settings.model_copy(update=dict(changes))))
    for assets, keys in steps:
        run_step(definitions, instance, assets.split(), keys)


def test_a_scenario_that_is_added_gets_new_seeds_and_changes_no_plan_and_no_dialogue(
    own_project: SampleProject, instance: DagsterInstance
) -> None:
    lake = own_project.deployment.lake()
    read = ("raw_seeds seed_embeddings", ["sums"])
    dialogues = ("scenario_dialogues scored_dialogues", ["error_correction|sums-0000", "analogy|sums-0000"])
    run(own_project, instance, {}, read, ("dialogue_plans", ["sums-0000"]), dialogues)
    before = lake.store.get(lake.path(DIALOGUE_PLANS, {"shard": "sums-0000"}))

    own_project.write_seeds(range(36))
    run(own_project, instance, {"scenarios": BOTH}, read, ("dialogue_plans", ["sums-0000", "sums-0001"]))

    assert lake.store.get(lake.path(DIALOGUE_PLANS, {"shard": "sums-0000"})) == before
    added = lake.read(DIALOGUE_PLANS, [{"shard": "sums-0001"}])
    assert set(added["scenario"]) == {"error_correction", "debate", "analogy", NAME}
    assert set(added.filter(pl.col("scenario") == NAME)["repetitions"]) == {1, 2}
    deployment = load_deployment(own_project.settings.model_copy(update={"scenarios": BOTH}))
    expected = deployment.expected()
    why = {status.key: status.why for status in partition_statuses(lake, expected) if status.shard == "sums-0000"}
    assert {key for key, reason in why.items() if reason is None} == {
        f"{scenario}|sums-0000" for scenario in ("error_correction", "debate", "analogy")
    }


def test_where_a_scenario_is_no_longer_declared_the_rest_is_released_and_its_partitions_say_why(
    own_project: SampleProject, instance: DagsterInstance
) -> None:
    lake = own_project.deployment.lake()
    both = ["error_correction|sums-0000", f"{NAME}|sums-0000"]
    run(
        own_project,
        instance,
        {"scenarios": BOTH},
        ("raw_seeds seed_embeddings", ["sums"]),
        ("dialogue_plans", ["sums-0000"]),
        ("scenario_dialogues scored_dialogues", both),
        ("boost_qa", None),
    )
    with_it = RELEASES.latest(lake)
    assert NAME in {row["scenario"] for row in with_it.manifest["rows_by_scenario"]}

    with pytest.raises(StepFailed, match=rf"{NAME}\|sums-0000: its scenario is not declared"):
        run(own_project, instance, {}, ("boost_qa", None))
    run(own_project, instance, {"release_rules": str(own_project.folder / "release.yaml")}, ("boost_qa", None))
    release = RELEASES.latest(lake)
    assert release.id != with_it.id
    assert {row["scenario"] for row in release.manifest["rows_by_scenario"]} <= {
        "error_correction",
        "debate",
        "analogy",
    }
    assert {"partition": f"{NAME}|sums-0000", "why": "its scenario is not declared"} in release.manifest["left_out"]
    assert "its scenario is not declared" in card(lake, release)


CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Greece": "Athens", "Japan": "Tokyo"}


@pytest.fixture
def embedded(tmp_path: Path, embedded_folders: None) -> Settings:
    """Five questions, the embedded model, and plans of which most are Socratic."""
    rows = [
        {"question": f"What is the capital of {country}?", "answer": f"The capital of {country} is {city}."}
        for country, city in CAPITALS.items()
    ]
    (tmp_path / "capitals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    profile = yaml.safe_load((PROFILES / "laptop.yaml").read_text())
    profile["roles"] |= dict.fromkeys(ROLES, profile["roles"]["strong_student"])
    source = {
        "name": "capitals",
        "files": ["capitals.jsonl"],
        "fields": {"question": "question", "answer": "answer"},
        "domain": "general",
        "licence": "CC0-1.0",
    }
    files: Mapping[str, Any] = {
        "profile": profile,
        "seeds": {"sources": [source]},
        "plan_rules": {"scenarios": {"error_correction": 0.3, "debate": 0, "analogy": 0}},
    }
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    named = {name: str(tmp_path / f"{name}.yaml") for name in files}
    settings = Settings(_env_file=None, lake_root=str(tmp_path / "lake"), scenarios=BOTH)
    return settings.model_copy(update=named)


@pytest.mark.embedded
def test_with_the_embedded_model_it_goes_from_seeds_to_a_release(
    embedded: Settings, tmp_path: Path, instance: DagsterInstance
) -> None:
    deployment = load_deployment(embedded)
    definitions, lake = build_definitions(deployment), deployment.lake()
    keys = ["error_correction|capitals-0000", f"{NAME}|capitals-0000"]
    run_step(definitions, instance, ["raw_seeds", "seed_embeddings"], ["capitals"])
    run_step(definitions, instance, ["dialogue_plans"], ["capitals-0000"])
    run_step(definitions, instance, ["scenario_dialogues"], keys)

    plans = lake.read(DIALOGUE_PLANS).filter(pl.col("scenario") == NAME)
    dialogues = lake.read(DIALOGUES).filter((pl.col("scenario") == NAME) & (pl.col("status") == "complete"))
    assert plans.height >= 3
    assert not dialogues.is_empty()
    spoken = plans.join(dialogues.select("seed_id", "turns"), on="seed_id")
    said = Counter(turn["role"] for turns in spoken["turns"] for turn in turns)
    assert said == turns_of_plans(spoken, deployment.scenarios)

    # Whether a model this small convinces the rules and itself as a judge says nothing about the scenario.
    decisions = [{"dialogue_id": name, "verdict": "accept", "why": "test"} for name in dialogues["dialogue_id"]]
    rules = yaml.safe_load((CONFIGURATIONS / "standard.yaml").read_text())
    (tmp_path / "decisions.yaml").write_text(yaml.safe_dump(decisions))
    (tmp_path / "quality.yaml").write_text(yaml.safe_dump({**rules, "decisions": "decisions.yaml"}))
    decided = load_deployment(embedded.model_copy(update={"quality_rules": str(tmp_path / "quality.yaml")}))
    run_step(build_definitions(decided), instance, ["scored_dialogues"], keys)
    run_step(build_definitions(decided), instance, ["boost_qa"], None)

    release = RELEASES.latest(lake)
    files = [lake.store.uri(path) for path in release.files("data/")]
    rows = pl.read_parquet(files, columns=list(RELEASE_ROW.columns)).filter(pl.col("scenario") == NAME)
    assert set(rows["seed_id"]) == set(dialogues["seed_id"])
    for conversation, trains in rows.select("conversations", "trains").iter_rows():
        sides = [turn["from"] for turn in conversation]
        assert sides == ["human", "gpt"] * (len(sides) // 2)
        assert trains == [side == "gpt" for side in sides]
        assert re.match(r"What is the capital of \w+\?\n\n", conversation[0]["value"])
    declared = deployment.scenarios[NAME]
    table = table_markdown(turns_table(declared)).md_str
    assert f"### Socratic questioning\n\n{declared.declaration.description}\n\n{table}" in card(lake, release)
    assert {"sq", "me_db_ep"} <= set(variants(deployment.scenarios))


def test_the_standard_prompts_stand_in_for_a_set_that_a_scenario_does_not_have(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    standard = load_scenarios(str(tmp_path))[NAME].prompts.versions()
    assert load_scenarios(str(tmp_path), "by_example")[NAME].prompts.versions() != standard
    shutil.rmtree(tmp_path / NAME / "by_example")
    assert load_scenarios(str(tmp_path), "by_example")[NAME].prompts.versions() == standard


@pytest.mark.parametrize("block", re.findall(r"```yaml\n((?:description|steps):.*?)```", PAGE, re.DOTALL))
def test_the_page_shows_the_example_as_it_is(block: str) -> None:
    assert block in (EXAMPLES / f"{NAME}.yaml").read_text(encoding="utf-8")


def test_the_page_shows_the_table_of_the_card() -> None:
    rows = turns_table(load_scenarios(str(EXAMPLES))[NAME])
    assert all("| " + " | ".join(row.values()) + " |" in PAGE for row in rows)
