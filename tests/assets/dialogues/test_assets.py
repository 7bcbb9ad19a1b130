from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, materialize

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.assets import dialogues_asset
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import SHARDS, dialogue_partitions
from assets.seeds.configuration import Fields, SeedsConfiguration, SourceConfiguration
from resources.chat.budget import Budget
from resources.chat.profile import Endpoint, Profile
from resources.chat.retries import RetryPolicy
from resources.chat.role_model import RoleModel
from resources.chat.service import ChatService
from resources.chat.spending_log import read_spending
from resources.lake.tables import Lake
from tests.fake_endpoint import FakeEndpoint
from tests.shipped_scenarios import SCENARIOS

ASSET = AssetKey("scenario_dialogues")
scenario_dialogues = dialogues_asset(dialogue_partitions(SCENARIOS))
DEBATES = ["debate"] * 2
ANSWER = "I put both together and count what is there."  # no final answer, so debates do not end early
KEYS = {"scenario": "debate", "shard": "sums-0000"}
REFUSAL = "I'm sorry, but I can't help with that."


@dataclass
class SampleProject:
    """Two planned shards, a fake endpoint and a Dagster instance."""

    lake: Lake
    endpoint: FakeEndpoint
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
                "scenarios": SCENARIOS,
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
        return Profile(name="project", endpoints={"fake": endpoint}, roles=dict.fromkeys(SCENARIOS.roles, cast))

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
def project(lake: Lake, planned: Any, fake_endpoint: FakeEndpoint, tmp_path: Path) -> Iterator[SampleProject]:
    fake_endpoint.answer_with(lambda request: ANSWER)
    for shard in ("sums-0000", "sums-0001"):
        planned.plan(shard, DEBATES)
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(SHARDS, ["sums-0000", "sums-0001"])
        yield SampleProject(lake, fake_endpoint, instance, tmp_path)


FIRST, SECOND = "debate|sums-0000", "debate|sums-0001"


def failure(result: ExecuteInProcessResult) -> str:
    """What a failed run says to the one who started it."""
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)


def metadata(result: ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_every_partition_of_a_run_is_written_and_a_second_run_calls_no_model(project: SampleProject) -> None:
    assert project.run(FIRST, SECOND).success
    assert project.statuses() == {FIRST: ["complete"] * 2, SECOND: ["complete"] * 2}
    assert project.recorded() == {FIRST, SECOND}
    before, calls = project.lake.records(DIALOGUES), len(project.endpoint.chats)
    again = project.run(FIRST)
    assert again.success
    assert (project.lake.records(DIALOGUES), len(project.endpoint.chats)) == (before, calls)
    assert metadata(again)["made"] == "earlier: already there"


def test_the_ui_shows_a_dialogue_as_harmless_text_and_what_the_calls_took(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: "I say <b>seven</b> and count again.")
    shown = metadata(project.run(FIRST))
    assert ("**Student A**" in shown["sample dialogue"], "<b>" in shown["sample dialogue"]) == (True, False)
    assert "&lt;b&gt;seven" in shown["sample dialogue"]
    assert "| paid for now | 8 |" in shown["calls"]
    assert (shown["dagster/partition_row_count"], shown["tokens"]) == (2, 8 * 15)


def test_enough_calls_are_drawn_over_time(project: SampleProject, planned: Any) -> None:
    planned.plan("sums-0002", ["debate"] * 8)
    project.instance.add_dynamic_partitions(SHARDS, ["sums-0002"])
    assert metadata(project.run("debate|sums-0002"))["calls over time"].startswith("![Latency of the calls")


def test_the_footer_says_what_made_the_dialogues(project: SampleProject) -> None:
    project.run(FIRST)
    facts = project.lake.facts(DIALOGUES, KEYS)
    assert (facts["profile"], facts["models"]["debater_a"], facts["usage"]["calls"]) == ("project", "fake", 8)
    assert facts["prompts"] == SCENARIOS["debate"].prompts.versions()


def test_a_failed_gate_fails_the_run_and_keeps_every_row_until_a_later_run_passes(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: REFUSAL if "sums-0000" in request.text else "It is 7.")
    result = project.run(FIRST, SECOND, set_aside_minimum=1, regenerations=0)
    assert not result.success
    assert f"{FIRST}: 2 of 2 dialogues were set aside (allowed: 50%): 2 refusal" in failure(result)
    assert project.statuses() == {FIRST: ["set_aside"] * 2, SECOND: ["complete"] * 2}
    assert project.recorded() == {SECOND}
    project.endpoint.answer_with(lambda request: "It is 7.")
    assert project.run(FIRST, set_aside_minimum=1, regenerations=1).success
    assert project.statuses()[FIRST] == ["complete"] * 2


def test_a_partition_left_unanswered_is_due_and_only_what_is_missing_is_asked(project: SampleProject) -> None:
    project.endpoint.answer_with(
        lambda request: project.endpoint.fails(500, "restarting") if len(project.endpoint.chats) == 8 else ANSWER
    )
    message = failure(project.run(FIRST))
    assert "1 of 2 dialogues got no answer this time: 1 server_error (the first: server_error: turn" in message
    assert "HTTP 500: restarting); the same command again asks only" in message
    project.endpoint.answer_with(lambda request: ANSWER)
    assert project.run(FIRST).success
    usage = project.lake.facts(DIALOGUES, KEYS)["usage"]
    model_turns = [
        sum(turn["role"] is not None for turn in turns) for turns in project.lake.read(DIALOGUES, [KEYS])["turns"]
    ]
    assert project.statuses() == {FIRST: ["complete"] * 2}
    assert usage["calls"] == 1
    assert usage["calls"] + usage["replayed"] in model_turns  # of the complete dialogue nothing is even looked up


def test_a_spent_budget_ends_the_run_and_what_it_paid_for_is_not_paid_again(project: SampleProject) -> None:
    project.run(FIRST)
    project.budget = Budget(tokens=50)
    result = project.run(FIRST, SECOND)
    assert f"1 of 2 partitions are written (1 of them before this run); left: {SECOND}" in failure(result)
    assert project.recorded() == {FIRST}
    assert 8 < len(project.endpoint.chats) < 16
    project.budget = None
    assert project.run(SECOND).success
    assert len(project.endpoint.chats) == 16


def test_every_answer_is_recorded_as_paid_once_whatever_becomes_of_it(project: SampleProject) -> None:
    project.run(FIRST)
    project.budget = Budget(tokens=50)
    project.run(SECOND)  # it ends before the partition is written
    project.budget = None
    project.run(SECOND)
    project.lake.write(DIALOGUES, KEYS, project.lake.read(DIALOGUES, [KEYS]), fingerprint="of other prompts")
    rows = read_spending(project.lake.store)
    assert sum(row.calls for row in rows) == len(project.endpoint.chats)
    assert sum(row.prompt_tokens + row.completion_tokens for row in rows) == 15 * len(project.endpoint.chats)
    assert len({row.run for row in rows}) == 3
    assert {row.role for row in rows} == set(SCENARIOS["debate"].roles)


def test_a_wrong_key_ends_the_run_at_once(project: SampleProject) -> None:
    project.endpoint.answer_with(lambda request: project.endpoint.fails(401, "wrong key"))
    assert f"0 of 1 partitions are written; left: {FIRST}" in failure(project.run(FIRST))
    assert project.statuses() == {}


def test_a_shard_without_plans_says_what_to_do(project: SampleProject) -> None:
    project.instance.add_dynamic_partitions(SHARDS, ["sums-0002"])
    result = project.run("debate|sums-0002")
    assert "shard sums-0002 has no dialogue plans; materialise dialogue_plans for it first" in failure(result)


def test_no_model_is_called_for_a_retracted_seed(project: SampleProject) -> None:
    seed_id = project.lake.read(DIALOGUE_PLANS, [KEYS])["seed_id"][0]
    (project.folder / "down.txt").write_text(seed_id)
    project.retractions = "down.txt"
    assert project.run(FIRST).success
    assert sorted(project.statuses()[FIRST]) == ["complete", "set_aside"]


def test_a_requested_regeneration_generates_that_dialogue_alone(project: SampleProject, planned: Any) -> None:
    project.run(FIRST)
    again, kept = project.lake.read(DIALOGUES, [KEYS])["dialogue_id"]
    planned.request_regeneration(FIRST, again)
    project.endpoint.answer_with(lambda request: "Another view. The answer is 7.")
    assert project.run(FIRST).success
    rows = project.lake.read(DIALOGUES, [KEYS]).rows_by_key("dialogue_id", named=True, unique=True)
    assert (rows[again]["generation"], rows[kept]["generation"]) == (1, 0)
    assert rows[again]["turns"][1]["text"] == "Another view. The answer is 7." != rows[kept]["turns"][1]["text"]
