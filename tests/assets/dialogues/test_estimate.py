from typing import Any

import polars as pl
import pytest

from assets.dialogues.estimate import CallAverage, default_average, dry_run, estimate, measured_averages, turns_of
from assets.dialogues.inputs import read_inputs
from assets.dialogues.prompts import PromptBook
from assets.dialogues.schema import DIALOGUES
from assets.framework.partitions import Scenario
from resources.chat.profile import ModelPrice, Profile, Role
from resources.lake.tables import Lake

PLANS = pl.DataFrame(
    {"scenario": ["debate", "debate", "analogy"], "debate_rounds": [1, 2, None]},
    schema={"scenario": pl.String, "debate_rounds": pl.Int8},
)
AVERAGE = CallAverage(prompt_tokens=100, completion_tokens=50, calls=1.0, seconds=2.0, measured=True)
EVERYBODY = dict.fromkeys(Role, AVERAGE)


@pytest.mark.parametrize(
    ("scenario", "rounds", "calls"),
    [("error_correction", None, 3), ("debate", 1, 3), ("debate", 2, 5), ("analogy", None, 3)],
)
def test_a_dialogues_calls_are_counted_by_playing_it(scenario: str, rounds: int | None, calls: int) -> None:
    assert turns_of(Scenario(scenario), rounds).total() == calls


def test_calls_and_tokens_add_up_over_plans(profile: Profile) -> None:
    found = estimate(PLANS, profile, EVERYBODY)
    assert (found.dialogues, found.calls, found.tokens) == (3, 3 + 5 + 3 + 3, 14 * 150)


def test_judging_can_be_left_out(profile: Profile) -> None:
    assert estimate(PLANS, profile, EVERYBODY, judged=False).calls == 11


def test_money_is_by_the_profiles_prices(profile: Profile) -> None:
    priced = profile.model_copy(update={"prices": {"SmolLM2-135M-Instruct": ModelPrice(prompt=1.0, completion=4.0)}})
    assert estimate(PLANS, priced, EVERYBODY).cost == pytest.approx(14 * (100 * 1.0 + 50 * 4.0) / 1e6)


def test_hours_are_those_of_the_slots(profile: Profile) -> None:
    assert estimate(PLANS, profile, EVERYBODY).hours == pytest.approx(14 * 2.0 / 4 / 3600)


def test_a_limit_on_requests_takes_longer(profile: Profile) -> None:
    slow = profile.endpoints["embedded"].model_copy(update={"requests_per_minute": 1})
    limited = profile.model_copy(update={"endpoints": {"embedded": slow}})
    assert estimate(PLANS, limited, EVERYBODY).hours == pytest.approx(14 / 60)


def test_without_measurements_the_defaults_are_used_and_said(profile: Profile) -> None:
    found = estimate(PLANS, profile, {})
    assert not any(role.measured for role in found.roles)


def test_no_plans_take_nothing(profile: Profile) -> None:
    found = estimate(PLANS.clear(), profile, EVERYBODY)
    assert (found.calls, found.tokens, found.hours) == (0, 0, 0.0)


def teach(lake: Lake, prompts: PromptBook, profile: Profile, model: str) -> None:
    """Write one partition of a single debate, 20 and 10 tokens a turn, 6 seconds in 3 calls, one utterance refused."""
    inputs = read_inputs(lake, "debate|sums-0000", prompts, profile)
    turn = {"speaker": "student A", "role": "debater_a", "side": "gpt", "text": "7", "model": model}
    (task,) = inputs.tasks
    row = {
        "dialogue_id": task.dialogue_id,
        **inputs.keys,
        "source": task.source,
        "domain": task.domain,
        "split": task.split,
        "seed_id": task.question.seed_id,
        "generation": 0,
        "status": "complete",
        "turns": [turn | {"prompt_tokens": 20, "completion_tokens": 10}] * 2,
        "discarded": [{"turn": 2, "regeneration": 0, "reason": "empty", "text": ""}],
        "first_answer": "unknown",
        "prompt_tokens": 60,
        "completion_tokens": 30,
    }
    lake.write(
        DIALOGUES,
        inputs.keys,
        DIALOGUES.frame([row]),
        fingerprint=inputs.fingerprint,
        facts={"usage": {"calls": 3, "wait_seconds": 6.0}},
    )


def test_averages_are_measured_on_what_was_held(
    planned: Any, lake: Lake, prompts: PromptBook, profile: Profile
) -> None:
    planned.plan("sums-0000", [Scenario.DEBATE])
    teach(lake, prompts, profile, profile.roles[Role.DEBATER_A].model)
    assert measured_averages(lake, profile) == {Role.DEBATER_A: CallAverage(20, 10, 1.5, 2.0, measured=True)}


def test_another_models_dialogues_say_nothing(planned: Any, lake: Lake, prompts: PromptBook, profile: Profile) -> None:
    planned.plan("sums-0000", [Scenario.DEBATE])
    teach(lake, prompts, profile, "another model")
    assert measured_averages(lake, profile) == {}


def test_a_role_never_heard_is_limited_by_its_profile(profile: Profile) -> None:
    assert default_average(profile, Role.WEAK_STUDENT).completion_tokens <= profile.roles[Role.WEAK_STUDENT].max_tokens


def test_a_dry_run_leaves_out_what_is_current(planned: Any, lake: Lake, prompts: PromptBook, profile: Profile) -> None:
    planned.plan("sums-0000", [Scenario.DEBATE])
    planned.plan("sums-0001", [Scenario.DEBATE, Scenario.DEBATE, Scenario.ANALOGY])
    teach(lake, prompts, profile, "any")
    found = dry_run(lake, ["debate|sums-0000", "debate|sums-0001"], prompts, profile)
    assert (found.partitions, found.current, found.dialogues) == (1, 1, 2)


def test_a_dry_run_opens_no_footer_to_see_what_is_current(
    planned: Any, lake: Lake, prompts: PromptBook, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned.plan("sums-0000", [Scenario.DEBATE])
    teach(lake, prompts, profile, "any")
    monkeypatch.delattr(Lake, "record")
    assert dry_run(lake, ["debate|sums-0000"], prompts, profile).current == 1
