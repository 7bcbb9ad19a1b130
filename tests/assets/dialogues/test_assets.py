from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, materialize

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.assets import scenario_dialogues
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import SHARDS, Scenario
from assets.framework.prompts import PromptBook
from assets.seeds.configuration import Fields, SeedsConfiguration, SourceConfiguration
from resources.chat.budget import Budget
from resources.chat.profile import Endpoint, Profile, Role, RoleModel
from resources.chat.retries import RetryPolicy
from resources.chat.service import ChatService
from resources.lake.tables import Lake
from tests.fake_endpoint import FakeEndpoint

ASSET = AssetKey("scenario_dialogues")
DEBATES = [Scenario.DEBATE] * 2
REFUSAL = "I'm sorry, but I can't help with that."


@dataclass
class SampleProject:
    """Two planned shards, a fake endpoint and a Dagster instance."""

    lake: Lake
    endpoint: FakeEndpoint
    prompts: PromptBook
    instance: DagsterInstance
    folder: Path
    budget: Budget | None = None
    retractions: str | None = None

    def run(self, *keys: str, **config: Any) -> ExecuteInProcessResult:
        """Materialise one partition, or the range from the first to the last of them."""
        seeds = SeedsConfiguration(
            sources=[
                SourceConfiguration(
                    name="sums",
                    files=["sums.jsonl"],
                    fields=Fields(question=["question"], answer=["answer"]),
                    domain="math",
                    licence="CC0-1.0",
                )
            ],
            folder=self.folder,
            retractions=self.retractions,
        )
        single = {"dagster/partition": keys[0]}
        several = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        return materialize(
            [scenario_dialogues],
            instance=self.instance,
            tags=several if len(keys) > 1 else single,
            resources={
                "lake": self.lake,
                "chat": ChatService(self.profile, self.lake.store, self.budget, RetryPolicy(attempts=1)),
                "prompts": self.prompts,
                "seeds_configuration": seeds,
            },
            run_config={"ops": {"scenario_dialogues": {"config": config}}},
            raise_on_error=False,
            # The asset's upstream is in the lake.
            selection=[scenario_dialogues],
        )

    @property
    def profile(self) -> Profile:
        cast = RoleModel(endpoint="fake", model="fake", temperature=0.2, max_tokens=100)
        endpoint = Endpoint(base_url=self.endpoint.base_url, max_concurrency=1)
        return Profile(name="project", endpoints={"fake": endpoint}, roles=dict.fromkeys(Role, cast))

    def statuses(self) -> dict[str, list[str]]:
        """Partition key to the statuses of its dialogues."""
        return {
            record.name: self.lake.read(DIALOGUES, [record.keys])["status"].to_list()
            for record in self.lake.records(DIALOGUES)
        }

    def recorded(self) -> set[str]:
        """The partitions that Dagster knows to be materialised."""
        return set(self.instance.get_materialized_partitions(ASSET))


@pytest.fixture
def project(
    lake: Lake, planned: Any, fake_endpoint: FakeEndpoint, prompts: PromptBook, tmp_path: Path
) -> Iterator[SampleProject]:
    fake_endpoint.answer_with(lambda request: "I put both together. The answer is 7.")
    for shard in ("sums-0000", "sums-0001"):
        planned.plan(shard, DEBATES)
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SHARDS, ["sums-0000", "sums-0001"])
        yield SampleProject(lake, fake_endpoint, prompts, instance, tmp_path)


FIRST, SECOND = "debate|sums-0000", "debate|sums-0001"


def failure(result: ExecuteInProcessResult) -> str:
    """What a failed run says to the one who started it."""
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)


def metadata(result: ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_run_over_several_partitions_writes_each(project: SampleProject) -> None:
    assert project.run(FIRST, SECOND).success
    assert project.statuses() == {FIRST: ["complete"] * 2, SECOND: ["complete"] * 2}
    assert project.recorded() == {FIRST, SECOND}


def test_a_second_run_calls_nobody_and_writes_nothing(project: SampleProject) -> None:
    project.run(FIRST)
    before, calls = project.lake.records(DIALOGUES), len(project.endpoint.chats)
    result = project.run(FIRST)
    assert result.success
    assert (project.lake.records(DIALOGUES), len(project.endpoint.chats)) == (before, calls)
    assert metadata(result)["made"] == "earlier: already there"


def test_the_ui_shows_a_dialogue_as_text_that_does_nothing(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: "I say <b>seven</b>. The answer is 7.")
    shown = metadata(project.run(FIRST))["sample dialogue"]
    assert "**Student A**" in shown
    assert "&lt;b&gt;seven" in shown
    assert "<b>" not in shown


def test_what_calls_took_is_told(project: SampleProject) -> None:
    told = metadata(project.run(FIRST))
    assert told["dagster/partition_row_count"] == 2
    assert "| paid for now | 8 |" in told["calls"]
    assert told["tokens"] == 8 * 15


def test_the_footer_says_what_made_the_dialogues(project: SampleProject) -> None:
    project.run(FIRST)
    facts = project.lake.facts(DIALOGUES, {"scenario": "debate", "shard": "sums-0000"})
    assert (facts["profile"], facts["models"]["debater_a"], facts["usage"]["calls"]) == ("project", "fake", 8)
    assert set(facts["prompts"]) == {"debater_opening", "debater_reply", "debate_closer"}


def test_a_failed_gate_fails_the_run_and_keeps_every_row(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: REFUSAL if "sums-0000" in request.text else "It is 7.")
    result = project.run(FIRST, SECOND, set_aside_minimum=1)
    assert not result.success
    assert f"{FIRST}: 2 of 2 dialogues were set aside (allowed: 50%): 2 refusal" in failure(result)
    assert project.statuses() == {FIRST: ["set_aside"] * 2, SECOND: ["complete"] * 2}


def test_a_failed_run_still_records_the_partitions_that_are_good(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: REFUSAL if "sums-0000" in request.text else "It is 7.")
    project.run(FIRST, SECOND, set_aside_minimum=1)
    assert project.recorded() == {SECOND}


def test_a_partition_whose_gate_failed_is_made_anew(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: REFUSAL)
    project.run(FIRST, set_aside_minimum=1, regenerations=0)
    project.endpoint.answer_with(lambda request: "It is 7.")
    assert project.run(FIRST, set_aside_minimum=1, regenerations=1).success
    assert project.statuses() == {FIRST: ["complete"] * 2}


def test_a_partition_left_unanswered_is_due_and_asks_only_for_what_is_missing(project: SampleProject) -> None:
    answer = "I put both together. The answer is 7."
    project.endpoint.answer_with(
        lambda request: project.endpoint.fails(500, "restarting") if len(project.endpoint.chats) == 8 else answer
    )
    told = failure(project.run(FIRST))
    assert "1 of 2 dialogues got no answer this time: 1 server_error (the first: server_error: turn" in told
    assert "HTTP 500: restarting); the same command again asks only" in told
    project.endpoint.answer_with(lambda request: answer)
    assert project.run(FIRST).success
    keys = {"scenario": "debate", "shard": "sums-0000"}
    usage = project.lake.facts(DIALOGUES, keys)["usage"]
    spoken = [
        sum(turn["role"] is not None for turn in turns) for turns in project.lake.read(DIALOGUES, [keys])["turns"]
    ]
    assert project.statuses() == {FIRST: ["complete"] * 2}
    assert usage["calls"] == 1
    assert usage["calls"] + usage["replayed"] in spoken  # of the complete dialogue nothing is even looked up


def test_a_spent_budget_ends_the_run_and_says_what_is_left(project: SampleProject) -> None:
    project.run(FIRST)
    project.budget = Budget(tokens=1)
    result = project.run(FIRST, SECOND)
    assert not result.success
    assert f"1 of 2 partitions are written; left: {SECOND}" in failure(result)
    assert project.recorded() == {FIRST}


def test_what_a_spent_budget_paid_for_is_not_paid_again(project: SampleProject) -> None:
    project.budget = Budget(tokens=50)
    project.run(FIRST)
    paid = len(project.endpoint.chats)
    project.budget = None
    assert project.run(FIRST).success
    assert 0 < paid < 8
    assert len(project.endpoint.chats) == 8


def test_a_wrong_key_ends_the_run_at_once(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: project.endpoint.fails(401, "wrong key"))
    result = project.run(FIRST)
    assert f"0 of 1 partitions are written; left: {FIRST}" in failure(result)
    assert project.statuses() == {}


def test_a_shard_without_plans_says_what_to_do(project: SampleProject) -> None:
    project.instance.add_dynamic_partitions(SHARDS, ["sums-0002"])
    result = project.run("debate|sums-0002")
    assert "shard sums-0002 has no dialogue plans; materialise dialogue_plans for it first" in failure(result)


def test_a_retracted_seed_is_not_asked_about(project: SampleProject) -> None:
    keys = {"shard": "sums-0000"}
    seed_id = project.lake.read(DIALOGUE_PLANS, [keys])["seed_id"][0]
    (project.folder / "down.txt").write_text(seed_id)
    project.retractions = "down.txt"
    assert project.run(FIRST).success
    assert sorted(project.statuses()[FIRST]) == ["complete", "set_aside"]


def test_what_was_asked_for_anew_is_the_only_dialogue_made(project: SampleProject, planned: Any) -> None:
    project.run(FIRST)
    keys = {"scenario": "debate", "shard": "sums-0000"}
    anew, kept = project.lake.read(DIALOGUES, [keys])["dialogue_id"]
    planned.ask_again(Scenario.DEBATE, "sums-0000", anew)
    project.endpoint.answer_with(lambda request: "Another view. The answer is 7.")
    assert project.run(FIRST).success
    rows = project.lake.read(DIALOGUES, [keys]).rows_by_key("dialogue_id", named=True, unique=True)
    assert (rows[anew]["generation"], rows[kept]["generation"]) == (1, 0)
    assert rows[anew]["turns"][1]["text"] == "Another view. The answer is 7."
    assert rows[kept]["turns"][1]["text"] != "Another view. The answer is 7."


def test_enough_calls_are_drawn_over_time(project: SampleProject, planned: Any) -> None:
    planned.plan("sums-0002", [Scenario.DEBATE] * 8)
    project.instance.add_dynamic_partitions(SHARDS, ["sums-0002"])
    assert metadata(project.run("debate|sums-0002"))["calls over time"].startswith("![Latency of the calls")


def test_a_failed_run_says_the_first_real_cause_first(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: REFUSAL)
    told = failure(project.run(FIRST, SECOND, set_aside_minimum=1))
    assert told.splitlines()[0].startswith(f"{FIRST}, {SECOND}: 2 of 2 dialogues were set aside")
