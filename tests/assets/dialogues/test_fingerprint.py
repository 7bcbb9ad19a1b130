from pathlib import Path

import pytest
from assets.dialogues.prompts import SHIPPED, load_dialogue_prompts

from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.framework.partitions import Scenario
from assets.framework.prompts import PromptBook
from resources.chat.profile import Profile, Role
from tests.assets.dialogues.scripted import PROFILE, PROMPTS


@pytest.fixture
def edited(tmp_path: Path) -> PromptBook:
    """The shipped prompts with another word for the closer of a debate."""
    for file in (SHIPPED / "standard").glob("*.txt"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    closer = tmp_path / "debate_closer.txt"
    closer.write_text(closer.read_text(encoding="utf-8") + "\nBe kind.", encoding="utf-8")
    return load_dialogue_prompts(str(tmp_path))


def changed(role: Role | None = None, endpoint: dict[str, object] | None = None, **values: object) -> Profile:
    """The profile with other settings of a role or of the endpoint."""
    roles = {**PROFILE.roles, **({role: PROFILE.roles[role].model_copy(update=values)} if role else {})}
    endpoints = {"embedded": PROFILE.endpoints["embedded"].model_copy(update=endpoint or {})}
    return PROFILE.model_copy(update={"roles": roles, "endpoints": endpoints})


def fingerprints(prompts: PromptBook = PROMPTS, profile: Profile = PROFILE) -> dict[Scenario, str]:
    return {one: dialogue_fingerprint("plans", "", one, prompts, profile) for one in Scenario}


def stale(prompts: PromptBook = PROMPTS, profile: Profile = PROFILE) -> set[Scenario]:
    """Scenarios whose partitions the change makes stale."""
    now = fingerprints(prompts, profile)
    return {one for one, before in fingerprints().items() if now[one] != before}


def test_a_changed_debate_prompt_makes_debates_stale_and_no_others(edited: PromptBook) -> None:
    assert stale(edited) == {Scenario.DEBATE}


@pytest.mark.parametrize(
    ("profile", "scenarios"),
    [
        (changed(Role.WEAK_STUDENT, temperature=1.0), {Scenario.ERROR_CORRECTION}),
        (changed(Role.JUDGE, model="other"), set()),
        (changed(endpoint={"max_concurrency": 1}), set()),
        (changed(endpoint={"extra_body": {"top_k": 20}}), set(Scenario)),
    ],
    ids=["temperature", "judge", "limit", "further fields of requests"],
)
def test_only_settings_that_change_its_utterances_make_a_scenario_stale(
    profile: Profile, scenarios: set[Scenario]
) -> None:
    assert stale(profile=profile) == scenarios


@pytest.mark.parametrize(("plans", "regenerations"), [("other plans", ""), ("plans", "requested")])
def test_plans_and_requested_regenerations_are_part_of_it(plans: str, regenerations: str) -> None:
    changed_one = dialogue_fingerprint(plans, regenerations, Scenario.DEBATE, PROMPTS, PROFILE)
    assert changed_one != fingerprints()[Scenario.DEBATE]
