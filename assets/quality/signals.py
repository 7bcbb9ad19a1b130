"""The signals of a dialogue, found by rules: one plain function per signal, on plain turns."""

from dataclasses import dataclass
from typing import Literal

from assets.answers.check import check_answer
from assets.answers.compare import compare_final
from assets.answers.mentions import is_exact, mentions_result
from assets.answers.read import stated_answers
from assets.dialogues.questions import Question
from assets.dialogues.refusals import is_refusal
from assets.dialogues.repetition import is_repetitive, repeated_share
from assets.framework.language_detection import is_in_language
from assets.framework.languages import ENGLISH
from assets.quality.code_blocks import code_parses
from assets.quality.copying import copied_share, words
from assets.quality.inputs import DialogueInput
from assets.quality.reference_leaks import betrays_reference
from assets.quality.secrets_scan import count_secrets
from assets.quality.teacher_claims import false_claim, gave_away_result

FinalAnswer = Literal["right", "wrong", "missing", "unknown"]

_WORST_FIRST: tuple[FinalAnswer, ...] = ("wrong", "missing", "unknown", "right")
_REPETITION_MIN_WORDS = 20  # a shorter utterance says its one thing twice and means it
_COMMON = """
    a about after all also an and any are as at be because been before but by can could did do does for from had has
    have he her here him his how i if in into is it its just may me more most my no nor not of on one only or other
    our out over own s same she should so some such t than that the their them then there these they this those
    through to too under up us very was we were what when where which while who will with would you your
"""
_COMMON_WORDS = frozenset(_COMMON.split())


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one dialogue; names and meanings are those of `scored_dialogues`' columns."""

    structure_ok: bool
    final_answer: FinalAnswer
    first_answer: str
    reference_overlap: float
    code_parses: bool | None
    gave_away_result: bool | None
    false_claim: bool | None
    betrays_reference: bool
    copied_share: float
    english: bool
    repetition: float
    words: int
    truncated: bool
    refused: bool
    secrets: int


def read_signals(dialogue: DialogueInput) -> Signals:
    """All signals of one dialogue. A set-aside one gets those of what was said until then."""
    reference = "\n".join(question.reference for question in dialogue.questions)
    task = "\n".join([*(question.in_full for question in dialogue.questions), reference])
    language = dialogue.questions[0].language if dialogue.questions else ENGLISH
    return Signals(
        structure_ok=structure_ok(dialogue),
        final_answer=final_answer(dialogue),
        first_answer=dialogue.first_answer,
        reference_overlap=reference_overlap(dialogue),
        code_parses=code_parses(dialogue.answers),
        gave_away_result=gave_away_result(dialogue),
        false_claim=false_claim(dialogue),
        betrays_reference=betrays_reference(dialogue),
        copied_share=copied_share(dialogue),
        english=all(is_in_language(dialogue.own_words(turn), language, task) for turn in dialogue.spoken),
        repetition=repetition(dialogue),
        words=sum(len(words(turn.text)) for turn in dialogue.turns if turn.side == "gpt"),
        truncated=any(turn.finish_reason == "length" for turn in dialogue.spoken),
        refused=any(is_refusal(dialogue.own_words(turn), reference) for turn in dialogue.spoken),
        secrets=count_secrets("\n".join(turn.text for turn in dialogue.turns)),
    )


def structure_ok(dialogue: DialogueInput) -> bool:
    """Whether the turns are exactly those of the scenario: its speakers in order, on their sides, each with a text."""
    said = [(turn.speaker, turn.role) for turn in dialogue.turns]
    sides = [dialogue.scenario.declaration.speakers.get(turn.speaker) for turn in dialogue.turns]
    return (
        (dialogue.scenario.repetitions is None or dialogue.repetitions is not None)
        and dialogue.scenario.is_complete(said, dialogue.repetitions)
        and all(speaker and speaker.side == turn.side for speaker, turn in zip(sides, dialogue.turns, strict=True))
        and all(turn.text.strip() for turn in dialogue.turns)
    )


def final_answer(dialogue: DialogueInput) -> FinalAnswer:
    """The closing answer against the reference's result; of two answers the worse.

    `missing`: the reference has a result, and the answer neither ends with one nor names it anywhere. `unknown`: the
    reference has no result, or the answer names it in a way that no rule can compare. An answer that states another
    result beside the right one is `wrong`.
    """
    found = [
        answer_verdict(answer, question.reference_final, dialogue.domain)
        for answer, question in zip(dialogue.answers, dialogue.questions, strict=False)
    ]
    return min(found, key=_WORST_FIRST.index)


def answer_verdict(answer: str, reference_final: str | None, domain: str) -> FinalAnswer:
    if not reference_final:
        return "unknown"
    verdict = check_answer(answer, reference_final, domain)
    if verdict == "right" and any(_differs(stated, reference_final, domain) for stated in stated_answers(answer)):
        return "wrong"  # it states two answers
    if verdict == "unknown" and is_exact(reference_final) and not mentions_result(answer, reference_final):
        return "missing"
    return verdict


def _differs(stated: str, reference_final: str, domain: str) -> bool:
    verdict = compare_final(stated, reference_final, domain)
    return verdict == "wrong" or (verdict == "unknown" and not mentions_result(stated, reference_final))


def reference_overlap(dialogue: DialogueInput) -> float:
    """Share of what the reference brings that the closing answer holds (0..1); of two the smaller.

    What it brings are its content words, numbers and names, less those of the question: an answer that only says the
    question again holds nothing of them. Where the question has them all, all count.
    """
    return min(
        _share_found(question, answer) for answer, question in zip(dialogue.answers, dialogue.questions, strict=False)
    )


def _share_found(question: Question, answer: str) -> float:
    reference = _stems(question.reference)
    content = reference - _COMMON_WORDS or reference
    brought = content - _stems(question.in_full) or content
    return len(brought & _stems(answer)) / len(brought) if brought else 0.0


def _stems(text: str) -> set[str]:
    """The text's words without their commonest ending, so that a plural is no other word."""
    return {word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words(text)}


def repetition(dialogue: DialogueInput) -> float:
    """Share of word 6-grams that repeat an earlier one, in the most repetitive utterance; 1.0 for a loop."""
    return max((_repetition(dialogue.own_words(turn)) for turn in dialogue.spoken), default=0.0)


def _repetition(text: str) -> float:
    if is_repetitive(text):
        return 1.0
    words_said = text.lower().split()
    return repeated_share(words_said) if len(words_said) >= _REPETITION_MIN_WORDS else 0.0
