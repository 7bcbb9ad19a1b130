from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.dialogues.estimate import (
    CallAverage,
    default_average,
    estimate,
    measured_averages,
    turns_of_plans,
)
from resources.chat.profile import Profile
from resources.chat.role_model import ModelPrice
from resources.lake.tables import Lake
from resources.model_servers.started.configuration import StartedServer
from resources.model_servers.started.usage import record_usage, usage_name
from tests.shipped_scenarios import SCENARIOS

AVERAGE = CallAverage(prompt_tokens=100, completion_tokens=50, calls=1.0, seconds=2.0, measured=True)
EVERY_ROLE = dict.fromkeys([*SCENARIOS.roles, "judge"], AVERAGE)
TURNS = Counter({"debater_a": 8, "judge": 6})


@pytest.mark.parametrize(
    ("scenario", "rounds", "calls"),
    [("error_correction", None, 3), ("debate", 1, 3), ("debate", 2, 5), ("analogy", None, 3)],
)
def test_a_dialogues_calls_follow_from_its_declaration(scenario: str, rounds: int | None, calls: int) -> None:
    assert SCENARIOS[scenario].calls(rounds).total() == calls


def test_turns_add_up_over_plans() -> None:
    plans = pl.DataFrame(
        {"scenario": ["debate", "debate", "analogy"], "repetitions": [1, 2, None]},
        schema={"scenario": pl.String, "repetitions": pl.Int8},
    )
    assert turns_of_plans(plans, SCENARIOS).total() == 3 + 5 + 3


def test_calls_tokens_money_and_hours_follow_from_turns(profile: Profile) -> None:
    priced = profile.model_copy(update={"prices": {"SmolLM2-135M-Instruct": ModelPrice(prompt=1.0, completion=4.0)}})
    found = estimate(TURNS, priced, EVERY_ROLE)
    assert (found.calls, found.tokens) == (14, 14 * 150)
    assert found.cost == pytest.approx(14 * (100 * 1.0 + 50 * 4.0) / 1e6)
    assert found.hours == pytest.approx(14 * 2.0 / 4 / 3600)  # four slots


def test_the_hours_of_a_server_that_is_started_count_with_its_start_and_idle_time(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server = StartedServer(model="some/model", idle_seconds=300, price_per_hour=36.0)
    endpoint = profile.endpoints["embedded"].model_copy(update={"kind": "vllm", "server": server})
    started = profile.model_copy(update={"endpoints": {"embedded": endpoint}})
    name = usage_name("vllm", server)
    record_usage(name, "", starts=1, startup_seconds=93.0, running_seconds=500.0, price_per_hour=None)
    found = estimate(TURNS, started, EVERY_ROLE)
    serving = 14 * 2.0 / 4
    assert found.hours == pytest.approx((93 + serving) / 3600)
    assert found.cost == found.server_cost == pytest.approx((93 + serving + 300) / 100)
    assert estimate(Counter(), started, EVERY_ROLE).servers == ()


def test_a_role_in_batches_costs_their_price_and_none_of_the_live_hours(profile: Profile) -> None:
    debater = profile.roles["debater_a"].model_copy(update={"mode": "batch"})
    hosted = profile.endpoints["embedded"].model_copy(update={"kind": "openai"})
    priced = profile.model_copy(
        update={
            "endpoints": {"embedded": hosted},
            "prices": {"SmolLM2-135M-Instruct": ModelPrice(prompt=1.0, completion=4.0)},
            "roles": profile.roles | {"debater_a": debater},
        }
    )
    found, live = estimate(TURNS, priced, EVERY_ROLE), estimate(TURNS, priced, EVERY_ROLE, batches=False)
    assert live.cost == live.batch_cost == found.live_cost == 2 * found.batch_cost
    assert found.cost == pytest.approx((8 / 2 + 6) * (100 * 1.0 + 50 * 4.0) / 1e6)
    assert found.hours == pytest.approx(6 * 2.0 / 4 / 3600)


@pytest.mark.parametrize(
    ("limit", "minutes"), [({"requests_per_minute": 1}, 14), ({"tokens_per_minute": 150}, 14), ({}, 14 * 2 / 4 / 60)]
)
def test_a_limit_of_the_endpoint_takes_longer(profile: Profile, limit: dict[str, int], minutes: float) -> None:
    endpoint = profile.endpoints["embedded"].model_copy(update=limit)
    limited = profile.model_copy(update={"endpoints": {"embedded": endpoint}})
    assert estimate(TURNS, limited, EVERY_ROLE).hours == pytest.approx(minutes / 60)


def test_without_measurements_the_defaults_are_used_and_reported(profile: Profile) -> None:
    assert not any(role.measured for role in estimate(TURNS, profile, {}).roles)
    assert default_average(profile, "weak_student").completion_tokens <= profile.roles["weak_student"].max_tokens


def test_no_turns_take_nothing(profile: Profile) -> None:
    found = estimate({}, profile, EVERY_ROLE)
    assert (found.calls, found.tokens, found.hours) == (0, 0, 0.0)


@pytest.mark.parametrize("is_same_model", [True, False])
def test_averages_are_measured_on_this_profiles_dialogues(
    planned: Any, lake: Lake, profile: Profile, is_same_model: bool
) -> None:
    planned.plan("sums-0000", ["debate"])
    model = profile.roles["debater_a"].model if is_same_model else "another model"
    planned.write_dialogues("debate|sums-0000", model=model)
    expected = {"debater_a": CallAverage(20, 10, 1.5, 2.0, measured=True)} if is_same_model else {}
    assert measured_averages(lake, profile) == expected
