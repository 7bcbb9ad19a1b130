from pathlib import Path

import pytest

from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.prompts import SHIPPED, load_dialogue_prompts
from assets.framework.partitions import Scenario
from assets.framework.prompts import PromptBook
from resources.chat.profile import Profile, Role


@pytest.fixture
def edited(tmp_path: Path) -> PromptBook:
    """The shipped prompts with another word for the closer of a debate."""
    for file in (SHIPPED / "standard").glob("*.txt"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    closer = tmp_path / "debate_closer.txt"
    closer.write_text(closer.read_text(encoding="utf-8") + "\nBe kind.", encoding="utf-8")
    return load_dialogue_prompts(str(tmp_path))


def stale(prompts: tuple[PromptBook, PromptBook], profiles: tuple[Profile, Profile]) -> set[Scenario]:
    """Scenarios whose partitions the change makes stale."""
    return {
        scenario
        for scenario in Scenario
        if dialogue_fingerprint("plans", "", scenario, prompts[0], profiles[0])
        != dialogue_fingerprint("plans", "", scenario, prompts[1], profiles[1])
    }


def changed_role(profile: Profile, role: Role, **values: object) -> Profile:
    roles = profile.roles | {role: profile.roles[role].model_copy(update=values)}
    return profile.model_copy(update={"roles": roles})


def test_a_changed_debate_prompt_makes_debates_stale_and_no_others(
    prompts: PromptBook, edited: PromptBook, profile: Profile
) -> None:
    assert stale((prompts, edited), (profile, profile)) == {Scenario.DEBATE}


def test_another_model_for_a_role_makes_its_scenario_stale(prompts: PromptBook, profile: Profile) -> None:
    other = changed_role(profile, Role.WEAK_STUDENT, temperature=1.0)
    assert stale((prompts, prompts), (profile, other)) == {Scenario.ERROR_CORRECTION}


def test_another_judge_makes_no_dialogue_stale(prompts: PromptBook, profile: Profile) -> None:
    assert stale((prompts, prompts), (profile, changed_role(profile, Role.JUDGE, model="other"))) == set()


def test_limits_of_an_endpoint_make_nothing_stale(prompts: PromptBook, profile: Profile) -> None:
    endpoint = profile.endpoints["embedded"].model_copy(update={"max_concurrency": 1})
    other = profile.model_copy(update={"endpoints": {"embedded": endpoint}})
    assert stale((prompts, prompts), (profile, other)) == set()


def test_further_fields_of_an_endpoints_requests_make_its_scenarios_stale(
    prompts: PromptBook, profile: Profile
) -> None:
    endpoint = profile.endpoints["embedded"].model_copy(update={"extra_body": {"top_k": 20}})
    other = profile.model_copy(update={"endpoints": {"embedded": endpoint}})
    assert stale((prompts, prompts), (profile, other)) == set(Scenario)


@pytest.mark.parametrize(("plan", "asked_anew"), [("other plans", ""), ("plans", "asked anew")])
def test_plans_and_what_is_asked_anew_are_part_of_it(
    plan: str, asked_anew: str, prompts: PromptBook, profile: Profile
) -> None:
    before = dialogue_fingerprint("plans", "", Scenario.DEBATE, prompts, profile)
    assert dialogue_fingerprint(plan, asked_anew, Scenario.DEBATE, prompts, profile) != before
