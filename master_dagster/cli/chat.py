"""A dialogue as a chat in the terminal, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.panel import Panel
from rich.text import Text

from assets.dialogues.questions import Question
from assets.quality.rules import REASONS, SET_ASIDE
from master_dagster.terminal import console
from resources.outside_text import clean_text

WIDEST = 100  # columns: longer lines are hard to read
SIDE_COLOURS = {"human": "cyan", "gpt": "green"}
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ShownDialogue:
    """A dialogue with all that is shown of it."""

    dialogue: Row  # of `scenario_dialogues`
    scores: Row | None  # of `scored_dialogues`; None where it is not scored
    questions: Sequence[Question]  # what it is about: the question, and the similar one where there is one
    release: str | None = None  # whether the latest release has it, in words; None outside the lake

    @property
    def partition(self) -> str:
        """As Dagster writes it: `debate|x-0003`."""
        return f"{self.dialogue['scenario']}|{self.dialogue['shard']}"

    def as_json(self) -> dict[str, Any]:
        """Everything, for a program to read."""
        questions = [asdict(question) for question in self.questions]
        return {
            "dialogue_id": self.dialogue["dialogue_id"],
            "partition": self.partition,
            "release": self.release,
            "questions": questions,
            "dialogue": self.dialogue,
            "scores": self.scores,
        }


def print_chat(shown: ShownDialogue, note: str = "") -> None:
    """Print a dialogue as a chat, with its questions above it and its verdict below it; the title ends with the note.

    Whatever models and seeds say is printed as it is: nothing in it is markup or changes the terminal.
    """
    scores, dialogue = shown.scores, shown.dialogue
    accepted = bool(scores and scores["accepted"])
    body = Text()
    for number, question in enumerate(shown.questions):
        _add(body, "Question" if number == 0 else "Similar question", question.in_full, style="bold")
        _add(body, "Reference answer", question.shown_reference, style="bold")
    for turn in dialogue["turns"]:
        details = ", ".join(filter(None, [turn["model"], "carries loss" if turn["trains"] else ""]))
        text = _without_question(turn["text"], shown.questions)
        _add(body, turn["speaker"], text, f" ({details})" if details else "", SIDE_COLOURS[turn["side"]])
    for label, text in verdict_lines(shown):
        body.append(clean_text(label), style="green" if accepted else "yellow")
        body.append(clean_text(text) + "\n")
    decision = "not judged" if scores is None else "accepted" if accepted else "rejected"
    parts = [dialogue["scenario"].replace("_", " "), dialogue["source"], decision, note]
    console.print(
        Panel(
            body[:-1],
            title=Text(" · ".join(filter(None, parts))),
            title_align="left",
            border_style="green" if accepted else "yellow",
            width=min(console.width, WIDEST),
        )
    )


def verdict_lines(shown: ShownDialogue) -> Iterator[tuple[str, str]]:
    """What was decided and why, where the dialogue is: pairs of a label and the text after it."""
    dialogue, scores = shown.dialogue, shown.scores
    if scores is None:
        yield "not judged", ""
    else:
        yield "accepted" if scores["accepted"] else "rejected", f", score {scores['quality_score']:.2f}"
        if dialogue["status_reason"]:
            yield "  set aside: ", dialogue["status_reason"]
        for code in scores["rejection_reasons"]:
            if code != SET_ASIDE or not dialogue["status_reason"]:
                yield f"  {code}: ", REASONS.get(code, "")
        for code in scores["flags"]:
            if code not in scores["rejection_reasons"]:
                yield f"  flag {code}: ", REASONS.get(code, "")
        if scores["judge_reason"]:
            yield f"  judge ({scores['judge_model']}): ", scores["judge_reason"]
        if scores["decision_note"]:
            yield "  manual decision: ", scores["decision_note"]
    if shown.release is not None:
        yield "", f"  {shown.partition}, {dialogue['dialogue_id']}\n  {shown.release}"


def _add(body: Text, heading: str, text: str, details: str = "", style: str = "") -> None:
    body.append(clean_text(heading), style=style)
    body.append(clean_text(details), style="dim")
    body.append(f"\n{clean_text(text).strip()}\n\n")


def _without_question(text: str, questions: Sequence[Question]) -> str:
    """A turn's text; the question that it begins with, which is above the chat, is named only."""
    for question in questions:
        if question.text and text.startswith(question.text):
            return f"[the question]{text.removeprefix(question.text)}"
    return text
