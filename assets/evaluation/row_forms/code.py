"""Rows of code benchmarks as questions: HumanEval, MBPP, and any by a mapping of fields."""

import re

from assets.evaluation.benchmark_question import BenchmarkQuestion, NotAQuestion
from assets.evaluation.configuration import CodeBenchmark, CodeFields
from assets.evaluation.row_forms.values import RowValues, optional_text, read_common_fields, read_text, read_texts
from assets.seeds.rows import beginning


def read_code(values: RowValues, benchmark: CodeBenchmark) -> BenchmarkQuestion:
    """A row of a code benchmark as a question. Raises NotAQuestion."""
    if benchmark.fields is not None:
        return _by_fields(values, benchmark.fields)
    if benchmark.form == "human_eval":
        return _human_eval(values)
    return _mbpp(values, plus=benchmark.form == "mbpp_plus")


def _by_fields(values: RowValues, fields: CodeFields) -> BenchmarkQuestion:
    return read_common_fields(
        values,
        fields,
        reference=read_text(values, fields.tests),
        entry_point=read_text(values, fields.answer),
        solution=optional_text(values, fields.solution) if fields.solution else "",
    )


def _human_eval(values: RowValues) -> BenchmarkQuestion:
    """openai/human-eval: task_id, prompt (the start of a function), entry_point, canonical_solution, test."""
    start, name, test = (read_text(values, field) for field in ("prompt", "entry_point", "test"))
    if f"def {name}" not in start:
        raise NotAQuestion(f"its prompt does not define its entry point {beginning(name, 40)!r}")
    solution = f"{start}\n{optional_text(values, 'canonical_solution')}" if values.get("canonical_solution") else ""
    tests = f"{test}\n\ncheck({name})\n"
    return BenchmarkQuestion(
        start, tests, read_text(values, "task_id"), entry_point=name, start=start, solution=solution
    )


def _mbpp(values: RowValues, *, plus: bool) -> BenchmarkQuestion:
    """google-research-datasets/mbpp (text or prompt, code, test_list), or evalplus/mbppplus, which adds `test`.

    The tests are MBPP's own (`test_list`, what EvalPlus calls base), or with `plus` those of EvalPlus (`test`).
    """
    text = read_text(values, "prompt" if "prompt" in values else "text")
    examples, solution = read_texts(values, "test_list"), optional_text(values, "code")
    if not examples:
        raise NotAQuestion("its test_list is empty")
    called = re.findall(r"([A-Za-z_]\w*)\s*\(", examples[0])
    defined = re.findall(r"^def (\w+)", solution, re.MULTILINE)
    name = next((one for one in called if one in defined), called[0] if called else "")
    if not name:
        raise NotAQuestion(f"its first test calls nothing: {beginning(examples[0], 60)}")
    imports = values.get("test_imports") or []
    setup = [optional_text(values, "test_setup_code"), *(imports if isinstance(imports, list) else [])]
    tests = "\n".join([*filter(None, setup), read_text(values, "test") if plus else "\n".join(examples)])
    asked = f"{text}\n\nIt has to pass this test:\n{examples[0].strip()}"
    return BenchmarkQuestion(asked, tests, read_text(values, "task_id"), entry_point=name, solution=solution)
