"""Long hostile texts, and everything that reads a text which a model, a server or a file wrote."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from assets.answers.check import check_answer
from assets.answers.compare import compare_final
from assets.answers.markup import LONGEST_FINAL
from assets.answers.mentions import gives_away_result, mentions_result
from assets.answers.read import answering_part, read_final, read_marked, stated_answers
from assets.dialogues.refusals import is_refusal
from assets.dialogues.screening import ScreenContext, screen, without_heading
from assets.evaluation.benchmark_question import BenchmarkQuestion, Option
from assets.evaluation.grading import extract_code, grade_by_rule, grade_choice, read_judge_mark
from assets.framework.language_detection import is_in_language
from assets.framework.prompts import disarmed, fenced
from assets.quality.code_blocks import code_parses
from assets.quality.copying import copied_share
from assets.quality.inputs import DialogueInput
from assets.quality.judge import read_verdict
from assets.quality.reference_leaks import betrays_reference, reference_mentions
from assets.quality.rubric import rubric_of
from assets.quality.secrets_scan import count_secrets
from assets.quality.signals import final_answer, reference_overlap, repetition, structure_ok
from assets.quality.teacher_claims import claim_of, false_claim, gave_away_result
from assets.seeds.normalise import normalise
from resources.chat.event_stream import read_events
from resources.chat.reasoning import has_reasoning_marks, split_reasoning
from resources.chat.redaction import Redactor
from resources.outside_text import clean_line, clean_text, parse_json
from tests.assets.quality.samples import CORRECTED, make_dialogue
from tests.attacks.echoes import KEY
from tests.shipped_scenarios import SCENARIOS

CHARACTERS = 100_000
SECONDS = 2.0  # of the processor, which other programs slow down too; a quadratic pattern takes more than ten
UNITS = (
    *(" ", "\n", ".", "!", "(", "[", "{", "}", "$", "\\", "*", "=", '"', "'\"", "½", "\u202f", "1\u202f"),
    *("1,1", "111,", "1 ", "1/", "1.", "- 1", "1=", "1:", "9^", "9**", "!!", "x = 1 ", "a and b, ", "  1. ", "-- "),
    *("\\(", "\\[", "\\boxed{", "\\boxed{1} and ", "\\text{", "\\frac{1", "####", "#### ", "```", "<<", "[A] "),
    *("answer ", "answer is ", "The answer is 1. ", "final answer: a ", "not but ", "that is ", "then 1", "So, "),
    *("one ", "one and ", "hundred and ", "1 hour ", "m^2/", "sq ", "per ", "I hope ", "<|a|>", "step 1 "),
    *("= \\approx", "1 \\approx", "\\{x|x", "\\boxed{1}++++", "[1,"),
    *("\n \t*_>", "a. ", "Teacher: ", "ab", "<|", "````", '"I', "x" * 20 + " ", "#### .,;: "),
    *("\x1b", "\x1b[", "\x1b]0;", "\x9d", "\r", "\u202e", "a\u0301", "\U000e0041", "ﷺ", "```\n", "~~~\n"),
    *("<think>", "</think>", "[THINK]", "<|channel|>", "analysis", "assistantfinal", '{"a":', "data: {}\n\n"),
    *("%25", "&#37;", "\\\\u00", "c2st", "sk-", "password = ", "AKIA", "://a:b@", "Your answer is not ", "you got "),
    *("the answer that ", "the provided ", "according to the ", "I'm sorry I ", "I cannot ", "as an AI ", "def f(x): "),
    *("import a\n", "    x\n", "苹果", "“", "1:2 ", "$1", "€ 1", "5 pm ", "Mr. ", "1e9", "-1", "x^2+", "<1>", "[key]"),
)


def text_of(unit: str) -> str:
    """A text of `CHARACTERS` characters of that unit, with another one at its end."""
    return (unit * CHARACTERS)[: CHARACTERS - 1] + "x"


_CHOICE = BenchmarkQuestion("Which?", "A", options=(Option("A", "one"), Option("B", "two")))
_CODE = BenchmarkQuestion("Write f.", "assert f(1)", entry_point="f", start="def f(x):\n")
_MATH = BenchmarkQuestion("How many?", "4321")
_RUBRIC = rubric_of(SCENARIOS["error_correction"])
_SPEAKERS = ("teacher", "student")


def _refused(read: Callable[[str], Any]) -> Callable[[str], None]:
    """The same reader, whose ValueError is an answer: it says that the text is not what it should be."""

    def reader(text: str) -> None:
        with suppress(ValueError):
            read(text)

    return reader


def _signal(find: Callable[[DialogueInput], Any], turn: int) -> Callable[[str], Any]:
    """A signal of a dialogue whose turn of that number is the text."""

    def reader(text: str) -> Any:
        return find(make_dialogue("error_correction", *CORRECTED[:turn], text, *CORRECTED[turn + 1 :]))

    return reader


READERS: dict[str, Callable[[str], Any]] = {
    "clean_text": lambda text: clean_text(text, CHARACTERS),
    "clean_line": clean_line,
    "parse_json": _refused(parse_json),
    "read_events": _refused(lambda text: read_events(text.encode("utf-8", "replace"))),
    "Redactor": Redactor(KEY).text,
    "split_reasoning": split_reasoning,
    "has_reasoning_marks": has_reasoning_marks,
    "normalise": normalise,
    "disarmed": disarmed,
    "fenced": fenced,
    "screen": lambda text: screen(text, "stop", ScreenContext(_SPEAKERS, CORRECTED[0])),
    "screen, task": lambda text: screen(CORRECTED[1], "stop", ScreenContext(_SPEAKERS, text, text, text)),
    "screen, German": lambda text: screen(text, "stop", ScreenContext(_SPEAKERS, text, text, text, "German")),
    "without_heading": lambda text: without_heading(text, "student A"),
    "is_in_language": is_in_language,
    "is_refusal": lambda text: is_refusal(text, text),
    "read_final, math": lambda text: read_final(text, "math"),
    "read_final, general": lambda text: read_final(text, "general"),
    "read_marked": read_marked,
    "answering_part": lambda text: answering_part(text, "math"),
    "stated_answers": stated_answers,
    "check_answer, math": lambda text: check_answer(text, "4321", "math"),
    "check_answer, general": lambda text: check_answer(text, "Paris", "general"),
    "compare_final, math": lambda text: compare_final(text, "a b", "math"),
    "compare_final, general": lambda text: compare_final(text, "a b", "general"),
    "compare_final, end": lambda text: compare_final(text[-LONGEST_FINAL:], "a b", "math"),
    "mentions_result": lambda text: mentions_result(text, "4321"),
    "gives_away_result": lambda text: gives_away_result(text, "a b", text),
    "claim_of": claim_of,
    "reference_mentions": lambda text: reference_mentions(text, by_reviewer=False),
    "count_secrets": count_secrets,
    "code_parses": lambda text: code_parses([text]),
    "code_parses, block": lambda text: code_parses([f"```python\n{text}\n```"]),
    "read_verdict": _refused(lambda text: read_verdict(text, _RUBRIC)),
    "read_judge_mark": read_judge_mark,
    "grade_choice": lambda text: grade_choice(text, _CHOICE),
    "grade_by_rule": lambda text: grade_by_rule(text, _MATH, "math"),
    "extract_code": lambda text: extract_code(text, _CODE),
    "structure_ok": _signal(structure_ok, 3),
    "final_answer": _signal(final_answer, 3),
    "reference_overlap": _signal(reference_overlap, 3),
    "gave_away_result": _signal(gave_away_result, 2),
    "false_claim": _signal(false_claim, 2),
    "betrays_reference": _signal(betrays_reference, 2),
    "copied_share": _signal(copied_share, 3),
    "repetition": _signal(repetition, 3),
}
"""By name; each accepts any text, and none raises an exception."""
