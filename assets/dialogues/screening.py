"""Screens of an utterance before it is used: what a later speaker must never read as part of a task.

A screen refuses only what is plainly broken; whether an utterance is good is judged later, by the quality stage. It
judges against the seed: its language, its own headings and tokens, and a refusal that the reference answer also gives
are allowed. `benchmarks/judgement.py` measures the screens on labelled utterances.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from assets.dialogues.refusals import is_refusal
from assets.dialogues.repetition import is_repetitive
from assets.framework.language_detection import is_in_language
from assets.framework.languages import ENGLISH
from assets.framework.prompts import control_tokens

REFUSED_REASONS = {
    "empty": "it says nothing",
    "cut_off": "it was cut off by the token limit",
    "filtered": "the server's content filter ended it",
    "control_tokens": "it has tokens of a chat template that its seed does not have",
    "prompt_marks": "it has the marks that prompts put around data",
    "prompt_echo": "it repeats the instructions of its prompt",
    "other_speaker": "it speaks for another speaker",
    "repetition": "it repeats itself endlessly",
    "refusal": "it declines the task",
    "not_english": "it is not in its source's language",
}
"""Why an utterance is not used, with what each code means."""
ECHOED_WORDS = 10  # in a row, of the instructions
LONGEST = 100_000  # characters that are screened: longer utterances are cut off by any token limit


@dataclass(frozen=True, slots=True)
class ScreenContext:
    """What an utterance is judged against."""

    speakers: Collection[str] = ()  # of the dialogue
    task: str = ""  # questions, their system prompts and their reference answers
    reference: str = ""
    instructions: str = ""  # of its own prompt, without the values that were filled in
    language: str = ENGLISH


NOTHING_KNOWN = ScreenContext()


def screen(text: str, finish_reason: str, context: ScreenContext = NOTHING_KNOWN) -> str | None:
    """Why this utterance must not be used: one of `REFUSED_REASONS`, or None where it may be.

    Args:
        text: the utterance, without its own heading (see `without_heading`).
        finish_reason: as the endpoint gave it.
        context: what it is judged against.
    """
    text = text[:LONGEST]
    if finish_reason == "length":
        return "cut_off"
    if finish_reason == "content_filter":
        return "filtered"
    if finish_reason == "refusal":
        return "refusal"
    if not any(character.isalnum() or unicodedata.category(character) == "So" for character in text):
        return "empty"
    if leaked_tokens(text, context.task):
        return "control_tokens"
    if _PROMPT_MARKS.search(_FENCED.sub(" ", text)):
        return "prompt_marks"
    if echoes_instructions(text, context.instructions):
        return "prompt_echo"
    if speaks_for_others(text, context.speakers, context.task):
        return "other_speaker"
    if is_repetitive(text):
        return "repetition"
    if is_refusal(text, context.reference):
        return "refusal"
    if not is_in_language(text, context.language, context.task):
        return "not_english"
    return None


# -- tokens and instructions -------------------------------------------------------------------------------------------

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_PROMPT_MARKS = re.compile(r"^[ \t]*\"{3}[ \t]*$", re.MULTILINE)  # the fences that prompts put around data
_ECHO = re.compile(
    r"\bbetween (?:the )?lines of quotation marks\b|\bnothing in (?:it|them) changes your (?:part|role)\b",
    re.IGNORECASE,
)


def leaked_tokens(text: str, task: str = "") -> list[str]:
    """Tokens of a chat template that are a leak: not in code, not in the task, and not in the middle of a sentence.

    A leaked token begins or ends a line, or follows the end of a sentence; an explanation of chat templates has its
    tokens among words.
    """
    prose = _CODE.sub(lambda code: " " * len(code.group()), text)
    return [
        token
        for token, start, end in control_tokens(prose)
        if token not in task and not (_ends_in_a_word(prose[:start]) and _begins_with_words(prose[end:]))
    ]


def _ends_in_a_word(before: str) -> bool:
    line = before.rpartition("\n")[2].rstrip(" ")
    return bool(line) and (line[-1].isalnum() or line[-1] in ",(:;-…" or line.endswith("..."))


def _begins_with_words(after: str) -> bool:
    line = after.partition("\n")[0]
    return any(character.isalpha() for character in line)


def echoes_instructions(text: str, instructions: str) -> bool:
    """Whether `text` repeats its instructions: `ECHOED_WORDS` words in a row, or a phrase that only prompts have."""
    if _ECHO.search(text):
        return True
    said, given = _words(text), _words(instructions)
    runs = {tuple(given[index : index + ECHOED_WORDS]) for index in range(len(given) - ECHOED_WORDS + 1)}
    return bool(runs) and any(
        tuple(said[index : index + ECHOED_WORDS]) in runs for index in range(len(said) - ECHOED_WORDS + 1)
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


# -- speakers ----------------------------------------------------------------------------------------------------------

_USUAL_SPEAKERS = r"teacher|pupil|student(?:[ _-]?[a-z])?|user|human|assistant|system"
# A label of an answer's own parts says nothing about who speaks.
_OWN_PARTS = re.compile(
    r"(?:final )?answer|result|solution|explanation|reason(?:ing)?|note|step \d+|question|example|conclusion|summary"
    r"|(?:my )?(?:view|claim|correction)",
    re.IGNORECASE,
)
_MEANING = re.compile(
    r"^[ \t>]*(?:user|human|assistant|system)[ \t]*[:：][ \t]*(?-i:[a-z])", re.MULTILINE | re.IGNORECASE
)
_LABEL = re.compile(
    r"^[ \t>]*(?:\*\*|__|#{1,6} ?|- )?\[?([A-Za-z][\w.'’ -]{0,30}?)(?:'s turn)?\]?(?:\*\*|__)?[ \t]*[:：]", re.MULTILINE
)
_NARRATED = re.compile(
    r"\bthe (?:teacher|student|pupil)s? (?:then )?(?:replies|says|answers|responds|asks|nods|adds)\b"
    r"[^.\n\"“]{0,20}[\"“]",
    re.IGNORECASE,
)


def without_heading(text: str, speaker: str) -> str:
    """`text` without the speaker's own name in front (`**Student A:** I think …` -> `I think …`)."""
    heading = re.compile(rf"^\W{{0,4}}(?:{re.escape(speaker)})\W{{0,3}}[:：](?:\*\*|__)?\s*", re.IGNORECASE)
    return heading.sub("", text.strip(), count=1).strip()


def speaks_for_others(text: str, speakers: Collection[str] = (), task: str = "") -> bool:
    """Whether `text` goes on as another speaker, or as a further turn of the same one (`Teacher: …`).

    A speaker's name as a label is a turn where every label is such a name: a scene with other persons, a table or a
    list with labels of its own is an answer. Names that the task has as labels are allowed; fenced code does not count.

    Args:
        text: the utterance, without its own heading.
        speakers: of the dialogue; teachers, students and the parts of a chat always count.
        task: the question and its reference answer.
    """
    prose = _FENCED.sub(" ", text)
    names = _names(frozenset(speakers))
    labels = [label.strip() for label in _LABEL.findall(prose)]
    allowed = {label.strip().lower() for label in _LABEL.findall(task)}
    as_speakers = [label for label in labels if names.fullmatch(label) and label.lower() not in allowed]
    others = [
        label
        for label in labels
        if label[0].isupper()
        and len(label.split()) <= 3
        and not names.fullmatch(label)
        and not _OWN_PARTS.fullmatch(label)
    ]
    if as_speakers and not others and not (len(as_speakers) == 1 and _is_glossary(prose)):
        return True
    if any(name.lower() not in allowed for name in _inline_speakers(prose, names)):
        return True
    return _NARRATED.search(prose) is not None and not re.search(r"\b(?:teacher|student|pupil)", task, re.IGNORECASE)


def _is_glossary(prose: str) -> bool:
    """Whether the only label is a word of chats with its meaning: `System: a set of parts`."""
    return _MEANING.search(prose) is not None


@cache
def _names(speakers: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join([_USUAL_SPEAKERS, *map(re.escape, sorted(speakers))]), re.IGNORECASE)


def _inline_speakers(prose: str, names: re.Pattern[str]) -> Iterator[str]:
    """Speakers' names with a colon after the end of a sentence, within a line: `… step two. Student: Oh, I see`."""
    for found in re.finditer(r"[.!?][\"”]? ([A-Z][\w -]{2,30}?)[:：] [A-Z\"“]", prose):
        if names.fullmatch(found[1].strip()):
            yield found[1].strip()
