"""Rows of multiple-choice benchmarks as questions: the published forms, and any by a mapping of fields."""

import re
from collections.abc import Callable, Mapping, Sequence

from assets.evaluation.benchmark_question import BenchmarkQuestion, NotAQuestion, Option
from assets.evaluation.configuration import MultipleChoiceBenchmark, MultipleChoiceFields
from assets.evaluation.row_forms.values import (
    RowValues,
    label_at,
    lettered,
    optional_text,
    read_common_fields,
    read_index,
    read_text,
    read_texts,
    read_value,
)
from assets.seeds.rows import beginning
from resources.identity import draw

LABEL = re.compile(r"[A-Za-z0-9]{1,2}")


def read_multiple_choice(values: RowValues, benchmark: MultipleChoiceBenchmark) -> BenchmarkQuestion:
    """A row of a multiple-choice benchmark as a question, its labels checked. Raises NotAQuestion."""
    if benchmark.fields is not None:
        question = _by_fields(values, benchmark.fields)
    else:
        question = FORMS[benchmark.form](values, benchmark)
    labels = question.labels
    if len(labels) < 2:
        raise NotAQuestion(f"it has {len(labels)} options")
    if len(set(labels)) < len(labels):
        raise NotAQuestion(f"two options have one label ({', '.join(labels)})")
    if invalid := [label for label in labels if not LABEL.fullmatch(label)]:
        raise NotAQuestion(f"{beginning(invalid[0], 20)!r} is no label: one or two letters or digits are")
    if question.reference not in labels:
        raise NotAQuestion(
            f"its answer {beginning(question.reference, 40)!r} is none of the options {', '.join(labels)}"
        )
    return question


# -- published forms ---------------------------------------------------------------------------------------------------


def _tal_scq5k(values: RowValues, _: MultipleChoiceBenchmark) -> BenchmarkQuestion:
    """math-eval/TAL-SCQ5K: problem, answer_option_list [[{aoVal, content}], …], answer_value."""
    listed = read_value(values, "answer_option_list")
    try:
        options = tuple(Option(group[0]["aoVal"].strip(), group[0]["content"].strip()) for group in listed)
    except (TypeError, KeyError, IndexError, AttributeError):
        raise NotAQuestion("its answer_option_list is not of the form [[{aoVal, content}], …]") from None
    worked = values.get("answer_analysis")
    routes = values.get("knowledge_point_routes")
    return BenchmarkQuestion(
        read_text(values, "problem"),
        read_text(values, "answer_value").strip(),
        optional_text(values, "queId") or optional_text(values, "qid"),
        cluster=str(routes[0]) if isinstance(routes, list) and routes else "",
        options=options,
        worked=str(worked[0]) if isinstance(worked, list) and worked else "",
    )


def _arc(values: RowValues, _: MultipleChoiceBenchmark) -> BenchmarkQuestion:
    """allenai/ai2_arc: id, question, choices {text, label}, answerKey; its older files nest them under `question`."""
    if isinstance(values.get("question"), Mapping):
        stem, choices = read_text(values, "question.stem"), read_value(values, "question.choices")
        try:
            options = tuple(Option(one["label"], one["text"]) for one in choices)
        except (TypeError, KeyError):
            raise NotAQuestion("its question.choices is not of the form [{label, text}, …]") from None
    else:
        stem = read_text(values, "question")
        labels, texts = read_texts(values, "choices.label"), read_texts(values, "choices.text")
        if len(labels) != len(texts):
            raise NotAQuestion(f"its choices have {len(labels)} labels and {len(texts)} texts")
        options = tuple(map(Option, labels, texts))
    return BenchmarkQuestion(stem, read_text(values, "answerKey"), optional_text(values, "id"), options=options)


def _mmlu(values: RowValues, _: MultipleChoiceBenchmark) -> BenchmarkQuestion:
    """cais/mmlu: question, subject, choices, answer (an index)."""
    options = lettered(read_texts(values, "choices"))
    right = label_at(options, read_index(values, "answer"))
    subject = optional_text(values, "subject")
    return BenchmarkQuestion(read_text(values, "question"), right, cluster=subject, options=options)


def _mmlu_pro(values: RowValues, _: MultipleChoiceBenchmark) -> BenchmarkQuestion:
    """TIGER-Lab/MMLU-Pro: question_id, question, options, answer (a letter), category, src, cot_content."""
    return BenchmarkQuestion(
        read_text(values, "question"),
        read_text(values, "answer"),
        read_text(values, "question_id"),
        cluster=optional_text(values, "src") or optional_text(values, "category"),
        options=lettered(text for text in read_texts(values, "options") if text.strip() not in ("N/A", "")),
        worked=optional_text(values, "cot_content"),
    )


def _sciq(values: RowValues, benchmark: MultipleChoiceBenchmark) -> BenchmarkQuestion:
    """allenai/sciq: question, distractor1…3, correct_answer; the options' order is drawn, the same every time."""
    question = read_text(values, "question")
    right = read_text(values, "correct_answer")
    texts = [right, *(read_text(values, f"distractor{number}") for number in (1, 2, 3))]
    options = lettered(sorted(texts, key=lambda text: draw("sciq", benchmark.seed, question, text)))
    label = next(option.label for option in options if option.text == right.strip())
    return BenchmarkQuestion(question, label, options=options, worked=optional_text(values, "support"))


FORMS: Mapping[str, Callable[[RowValues, MultipleChoiceBenchmark], BenchmarkQuestion]] = {
    "tal_scq5k": _tal_scq5k,
    "arc": _arc,
    "mmlu": _mmlu,
    "mmlu_pro": _mmlu_pro,
    "sciq": _sciq,
}


# -- any form, by a mapping --------------------------------------------------------------------------------------------

_LETTERED_TEXT = re.compile(r"(?:^|[,;\n])\s*([A-Za-z])\s*[).:]\s*(.*?)(?=[,;\n]\s*[A-Za-z]\s*[).:]|\Z)", re.DOTALL)


def _by_fields(values: RowValues, fields: MultipleChoiceFields) -> BenchmarkQuestion:
    options = _options(values, fields)
    return read_common_fields(values, fields, options=options, reference=_right_label(values, fields, options))


def _options(values: RowValues, fields: MultipleChoiceFields) -> tuple[Option, ...]:
    if not isinstance(fields.options, str):
        return lettered(read_text(values, name) for name in fields.options)
    found = read_value(values, fields.options)
    if isinstance(found, str):
        return tuple(Option(label.upper(), text.strip()) for label, text in _LETTERED_TEXT.findall(found))
    if isinstance(found, Mapping):
        return tuple(Option(str(label), str(text)) for label, text in found.items() if text is not None)
    return lettered(read_texts(values, fields.options))


def _right_label(values: RowValues, fields: MultipleChoiceFields, options: Sequence[Option]) -> str:
    answer = read_text(values, fields.answer).strip()
    if fields.answer_is == "index":
        return label_at(options, read_index(values, fields.answer))
    if fields.answer_is == "text":
        right = [option.label for option in options if option.text.strip() == answer]
        if len(right) != 1:
            raise NotAQuestion(f"{len(right)} options have the text of its answer {beginning(answer, 40)!r}")
        return right[0]
    exact = [option.label for option in options if option.label == answer]
    return exact[0] if exact else answer.upper()
