"""The shipped prompts of the speakers."""

from pathlib import Path

import pytest
from assets.dialogues.prompts import FORMS, SHIPPED, load_dialogue_prompts

from assets.framework.prompts import PromptBook, shipped_sets

SPOKEN = sorted(name for name, form in FORMS.items() if not form.plain)
SHIPPED_PROMPTS = [(shipped, name) for shipped in shipped_sets([SHIPPED]) for name in SPOKEN]


def test_a_users_own_folder_replaces_the_shipped_prompts(tmp_path: Path) -> None:
    for file in (SHIPPED / "standard").glob("*.txt"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "weak_student.txt").write_text("[user]\nMine: {question}")
    assert "Mine:" in load_dialogue_prompts(str(tmp_path)).render("weak_student", question="Why?")[0].content


@pytest.mark.parametrize("name", SPOKEN)
def test_the_standard_set_has_instructions_only(name: str, prompts: PromptBook) -> None:
    messages = prompts.render(name, **dict.fromkeys(FORMS[name].placeholders, "DATA"))
    assert [message.role for message in messages] == ["system", "user"]


@pytest.mark.parametrize(("shipped", "name"), SHIPPED_PROMPTS)
def test_every_speaker_is_to_speak_english(shipped: str, name: str) -> None:
    assert "English" in (SHIPPED / shipped / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("shipped", "name"), SHIPPED_PROMPTS)
def test_no_instruction_asserts_that_somebody_erred(shipped: str, name: str) -> None:
    messages = load_dialogue_prompts(shipped).render(name, **dict.fromkeys(FORMS[name].placeholders, "DATA"))
    for claim in ("you made a mistake", "your mistake", "is wrong.", "was wrong.", "the student's mistake"):
        assert claim not in f"{messages[0].content}\n{messages[-1].content}".lower()


def test_the_second_analogy_shows_all_that_was_said(prompts: PromptBook) -> None:
    sees = {name: f"the {name}" for name in FORMS["analogy_student_again"].placeholders}
    shown = prompts.render("analogy_student_again", **sees)[-1].content
    assert all(text in shown for text in sees.values())
