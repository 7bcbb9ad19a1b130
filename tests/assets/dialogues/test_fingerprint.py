import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from assets.dialogues.fingerprint import dialogue_fingerprint
from assets.dialogues.load_scenarios import SHIPPED
from assets.framework.scenarios.loading import load_scenario_folders
from assets.framework.scenarios.scenario import Scenarios
from resources.chat.profile import Profile
from tests.assets.dialogues.scripted import PROFILE
from tests.shipped_scenarios import NAMES, SCENARIOS


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str, str], Scenarios]:
    """The shipped scenarios with one text replaced in one file."""

    def edit(file: str, old: str, new: str) -> Scenarios:
        folder = shutil.copytree(SHIPPED, tmp_path / "scenarios")
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
        return load_scenario_folders([folder], "standard")

    return edit


def changed(role: str | None = None, endpoint: dict[str, object] | None = None, **values: object) -> Profile:
    """The profile with other settings of a role or of the endpoint."""
    roles = {**PROFILE.roles, **({role: PROFILE.roles[role].model_copy(update=values)} if role else {})}
    endpoints = {"embedded": PROFILE.endpoints["embedded"].model_copy(update=endpoint or {})}
    return PROFILE.model_copy(update={"roles": roles, "endpoints": endpoints})


def fingerprints(scenarios: Scenarios = SCENARIOS, profile: Profile = PROFILE) -> dict[str, str]:
    return {name: dialogue_fingerprint("plans", "", one, profile) for name, one in scenarios.items()}


def stale(scenarios: Scenarios = SCENARIOS, profile: Profile = PROFILE) -> set[str]:
    """Scenarios whose partitions the change makes stale."""
    now = fingerprints(scenarios, profile)
    return {one for one, before in fingerprints().items() if now[one] != before}


@pytest.mark.parametrize(
    ("file", "old", "new", "scenarios"),
    [
        ("debate/standard/debate_closer.txt", "Now", "Be kind. Now", {"debate"}),
        ("debate/by_example/debate_closer.txt", "Close", "Please close", set()),
        ("debate.yaml", "own_words: true", "own_words: false", {"debate"}),
        ("debate.yaml", "student C: {side: gpt}", "student C: {side: gpt, trains: false}", {"debate"}),
        ("analogy.yaml", "layout: one_paragraph", "layout: free", {"analogy"}),
        # what readers see, and what decides only which plans there are
        ("debate.yaml", "short_name: db", "short_name: dispute", set()),
        ("debate.yaml", "Two students", "Two pupils", set()),
        ("debate.yaml", "position: 2", "share: 5", set()),
        ("debate.yaml", "{1: 1, 2: 1}", "{1: 1, 2: 1, 3: 1}", set()),
        ("debate.yaml", "Opens the debate and argues.", "Argues.", set()),
    ],
)
def test_a_changed_file_makes_only_its_own_scenario_stale(
    edited: Callable[[str, str, str], Scenarios], file: str, old: str, new: str, scenarios: set[str]
) -> None:
    assert stale(edited(file, old, new)) == scenarios


@pytest.mark.parametrize(
    ("profile", "scenarios"),
    [
        (changed("weak_student", temperature=1.0), {"error_correction"}),
        (changed("judge", model="other"), set()),
        (changed(endpoint={"max_concurrency": 1}), set()),
        (changed(endpoint={"extra_body": {"top_k": 20}}), set(NAMES)),
    ],
    ids=["temperature", "judge", "limit", "further fields of requests"],
)
def test_only_settings_that_change_its_utterances_make_a_scenario_stale(profile: Profile, scenarios: set[str]) -> None:
    assert stale(profile=profile) == scenarios


@pytest.mark.parametrize(("plans", "regenerations"), [("other plans", ""), ("plans", "requested")])
def test_plans_and_requested_regenerations_are_part_of_it(plans: str, regenerations: str) -> None:
    changed_one = dialogue_fingerprint(plans, regenerations, SCENARIOS["debate"], PROFILE)
    assert changed_one != fingerprints()["debate"]
