"""The shipped prompts of the speakers."""

from pathlib import Path

import pytest

from assets.dialogues.load_scenarios import SHIPPED, load_scenarios
from assets.framework.scenarios.declaration import Repeat
from assets.framework.scenarios.scenario import Scenario
from tests.shipped_scenarios import SCENARIOS

SETS = {name: load_scenarios("standard", name) for name in ("standard", "by_example")}
PAPER = load_scenarios("paper")


def chats(scenario: Scenario) -> list[str]:
    """The prompts that a model reads."""
    return sorted({name for say in scenario.says for name in say.prompts})


SPOKEN = [(name, prompt) for name, scenario in SCENARIOS.items() for prompt in chats(scenario)]
SHIPPED_PROMPTS = [(prompt_set, *spoken) for prompt_set in SETS for spoken in SPOKEN]


def shown(prompt_set: str, scenario: str, prompt: str) -> list[tuple[str, str]]:
    """Role and text of the prompt's messages, every placeholder filled with DATA."""
    prompts = SETS[prompt_set][scenario].prompts
    values = dict.fromkeys(prompts.placeholders(prompt), "DATA") | {"language": "English"}
    messages = prompts.render(prompt, **values)
    return [(message.role, message.content) for message in messages]


def test_every_shipped_set_is_tested() -> None:
    assert {file.parent.name for file in SHIPPED.glob("**/*.txt")} == set(SETS)


def test_a_users_own_folder_replaces_the_shipped_prompts(tmp_path: Path) -> None:
    for file in SHIPPED.glob("*/standard/*.txt"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "weak_student.txt").write_text("[user]\nMine: {question}")
    own = load_scenarios("standard", str(tmp_path))["error_correction"].prompts
    assert "Mine:" in own.render("weak_student", question="Why?")[0].content


def test_a_file_in_the_scenarios_own_folder_takes_precedence(tmp_path: Path) -> None:
    for file in SHIPPED.glob("*/standard/*.txt"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "error_correction").mkdir()
    (tmp_path / "error_correction" / "weak_student.txt").write_text("[user]\nMine: {question}")
    own = load_scenarios("standard", str(tmp_path))["error_correction"].prompts
    assert "Mine:" in own.render("weak_student", question="Why?")[0].content


@pytest.mark.parametrize(("scenario", "prompt"), SPOKEN)
def test_the_standard_set_has_instructions_only(scenario: str, prompt: str) -> None:
    assert [role for role, _ in shown("standard", scenario, prompt)] == ["system", "user"]


@pytest.mark.parametrize(("prompt_set", "scenario", "prompt"), SHIPPED_PROMPTS)
def test_every_speaker_is_to_speak_english(prompt_set: str, scenario: str, prompt: str) -> None:
    assert "English" in shown(prompt_set, scenario, prompt)[0][1]


@pytest.mark.parametrize(("prompt_set", "scenario", "prompt"), SHIPPED_PROMPTS)
def test_no_instruction_asserts_that_somebody_erred(prompt_set: str, scenario: str, prompt: str) -> None:
    (_, first), *_, (_, last) = shown(prompt_set, scenario, prompt)
    for claim in ("you made a mistake", "your mistake", "is wrong.", "was wrong.", "the student's mistake"):
        assert claim not in f"{first}\n{last}".lower()


def test_the_second_analogy_shows_all_that_was_said() -> None:
    analogy = SCENARIOS["analogy"]
    second = analogy.judged[-1]
    sees = {name: f"the {name}" for name in (*second.visible, "language")}
    shown = "".join(message.content for message in analogy.prompts.render(second.prompt, **sees))
    assert all(text in shown for text in sees.values())


@pytest.mark.parametrize(("scenario", "prompt"), SPOKEN)
def test_who_sees_a_reference_is_never_to_mention_it(scenario: str, prompt: str) -> None:
    sees = SCENARIOS[scenario].prompts.placeholders(prompt)
    forbidden = "never mention" in shown("standard", scenario, prompt)[0][1]
    assert forbidden == bool(sees & {"reference", "similar_reference"})


@pytest.mark.parametrize(("scenario", "prompt"), SPOKEN)
def test_no_prompt_of_an_open_task_asks_for_a_final_answer(scenario: str, prompt: str) -> None:
    text = " ".join(content for _, content in shown("standard", scenario, prompt)).lower()
    if prompt.endswith("_open"):
        assert "final answer" not in text
        assert "the answer is" not in text


def test_the_paper_set_leaves_out_what_differs_from_the_paper() -> None:
    assert "reference" not in PAPER["analogy"].says[0].visible
    assert PAPER["debate"].declaration.choices == {}
    assert [step.until_agree for step in PAPER["debate"].declaration.steps if isinstance(step, Repeat)] == [None]
    assert not [name for name in PAPER["debate"].prompt_names if "misreading" in name or "other_method" in name]
    assert {name: one.identity for name, one in PAPER.items()}["error_correction"] == (
        SCENARIOS["error_correction"].identity
    )


def test_a_set_without_a_variant_uses_the_prompt_that_it_varies() -> None:
    texts = [shown("by_example", "debate", name) for name in ("debater_reply", "debater_reply_misreading_open")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("prompt_set", ["standard", "by_example"])
def test_worked_examples_are_no_instructions(prompt_set: str) -> None:
    prompts = load_scenarios("standard", prompt_set)["analogy"].prompts
    system, *_ = prompts.render(
        "explaining_teacher", **dict.fromkeys(prompts.placeholders("explaining_teacher"), "DATA")
    )
    assert prompts.instructions("explaining_teacher").split() == system.content.replace("DATA", "").split()


@pytest.mark.parametrize(("prompt_set", "scenario", "prompt"), SHIPPED_PROMPTS)
def test_the_constant_part_comes_first_so_that_the_providers_cache_has_it(
    prompt_set: str, scenario: str, prompt: str
) -> None:
    prompts = SETS[prompt_set][scenario].prompts
    texts = [
        prompts.render(prompt, **dict.fromkeys(prompts.placeholders(prompt), data) | {"language": "", "speaker": ""})
        for data in ("one dialogue", "another")
    ]
    assert texts[0][0].role == "system"
    assert texts[0][0] == texts[1][0]
