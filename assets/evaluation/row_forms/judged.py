"""Rows of judged benchmarks as questions: MATH and data sets of its form, and any by a mapping of fields."""

from assets.answers.read import read_final
from assets.evaluation.benchmark_question import BenchmarkQuestion, NotAQuestion
from assets.evaluation.configuration import JudgedBenchmark
from assets.evaluation.row_forms.values import RowValues, optional_text, read_common_fields, read_text


def read_judged(values: RowValues, benchmark: JudgedBenchmark) -> BenchmarkQuestion:
    """A row of a judged benchmark as a question. Raises NotAQuestion."""
    if benchmark.fields is not None:
        return read_common_fields(values, benchmark.fields, reference=read_text(values, benchmark.fields.answer))
    return _math(values)


def _math(values: RowValues) -> BenchmarkQuestion:
    r"""hendrycks/competition_math: problem, solution (ends in \boxed{…}) or answer, type or subject."""
    solution = optional_text(values, "solution")
    reference = optional_text(values, "answer") or read_final(solution, "math") or ""
    if not reference:
        raise NotAQuestion("it has no answer, and its solution no final answer in \\boxed{}")
    cluster = optional_text(values, "type") or optional_text(values, "subject")
    item_id = optional_text(values, "unique_id")
    return BenchmarkQuestion(read_text(values, "problem"), reference, item_id, cluster, worked=solution)
