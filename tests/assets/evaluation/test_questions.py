"""Questions of the published forms, and rows that are none."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.configuration import Benchmarks, Rows, load_benchmarks
from assets.evaluation.questions import QuestionSet, read_questions
from resources.configuration import ConfigurationError

HERE = Path(__file__).parent
FORMS: dict[str, dict[str, Any]] = {
    line["form"]: line["row"] for line in map(json.loads, (HERE / "forms.jsonl").read_text().splitlines())
}
KINDS = {"human_eval": "code", "mbpp": "code", "mbpp_plus": "code", "math": "judged"}


def benchmark_of(form: str, **values: Any) -> Any:
    """A benchmark of that form."""
    given = {"name": "b", "kind": KINDS.get(form, "multiple_choice"), "form": form, **values}
    return Benchmarks.model_validate({"name": "one", "benchmarks": [given]}).benchmarks[0]


def read(folder: Path, form: str, *rows: Any, **values: Any) -> QuestionSet:
    """The questions of a file with these rows; a row that is a string stands in it as it is."""
    file = folder / "rows.jsonl"
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return read_questions(benchmark_of(form, **{"rows": {"file": str(file)}, **values}))


def as_shipped(name: str, **rows: str) -> QuestionSet:
    """The questions of a benchmark of the shipped configuration, from rows that are at hand."""
    benchmark: Any = load_benchmarks("paper").benchmark(name)
    return read_questions(benchmark.model_copy(update={"rows": Rows.model_validate(rows)}))


def only(folder: Path, form: str, row: Any, **values: Any) -> BenchmarkQuestion:
    (question,) = read(folder, form, row, **values).questions
    return question


def test_the_texts_of_a_question_can_be_written(tmp_path: Path) -> None:
    row = {"id": "a\ud800", "q": "x\x00\ud800", "o": ["3\x1b[2J", "4"], "a": "A"}
    question = only(tmp_path, "fields", row, fields={"id": "id", "question": "q", "options": "o", "answer": "a"})
    assert (question.item_id, question.text, question.options[0].text) == ("a\ufffd", "x\ufffd", "3")


@pytest.mark.parametrize(
    ("form", "item_id", "reference", "cluster"),
    [
        ("tal_scq5k", "t1", "B", "Sums"),
        ("arc", "a1", "2", "a1"),
        ("mmlu", "0", "B", "history"),
        ("mmlu_pro", "7", "B", "source-7"),
        ("math", "0", r"\frac12", "Algebra"),
    ],
)
def test_a_published_form_is_read(tmp_path: Path, form: str, item_id: str, reference: str, cluster: str) -> None:
    question = only(tmp_path, form, FORMS[form])
    assert (question.item_id, question.reference, question.cluster) == (item_id, reference, cluster)


def test_code_is_read_with_what_runs_it(tmp_path: Path) -> None:
    question = only(tmp_path, "human_eval", FORMS["human_eval"])
    assert question.start.startswith("def one():")
    assert question.reference.endswith("check(one)\n")
    question = only(tmp_path, "mbpp", FORMS["mbpp"])
    assert question.entry_point == "plus"
    assert question.text.endswith("assert plus(1, 2) == 3")  # the first test is shown
    assert question.reference == "import math\nassert plus(1, 2) == 3\nassert plus(0, 0) == 0"
    plus = {"prompt": "Add.", "test": "import numpy\nassert plus(5, 5) == 10\n", "test_imports": []}
    row = {**FORMS["mbpp"], **plus}
    assert "assert plus(5, 5) == 10" in only(tmp_path, "mbpp_plus", row).reference
    assert "assert plus(5, 5) == 10" not in only(tmp_path, "mbpp", row).reference


def test_arc_in_its_older_form_is_read(tmp_path: Path) -> None:
    choices = [{"text": "smoke", "label": "A"}, {"text": "rain", "label": "B"}]
    row = {"id": "a", "question": {"stem": "What falls?", "choices": choices}, "answerKey": "B"}
    assert only(tmp_path, "arc", row).labels == ("A", "B")


def test_the_order_of_sciqs_options_is_always_the_same(tmp_path: Path) -> None:
    question = only(tmp_path, "sciq", FORMS["sciq"])
    assert {option.text for option in question.options} == {"ice", "stone", "air", "light"}
    assert dict(zip(question.labels, question.options, strict=True))[question.reference].text == "ice"
    assert question == only(tmp_path, "sciq", FORMS["sciq"])


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        (
            {"question": "Problem", "options": "options", "answer": "correct"},
            {"Problem": "?", "options": "a ) 38 , b ) 27.675 , c ) data inadequate", "correct": "b"},
        ),
        (
            {"question": "Question", "options": ["A", "B", "C"], "answer": "Answer"},
            {"Question": "?", "A": "38", "B": "27.675", "C": "30", "Answer": "B"},
        ),
        (
            {"question": ["given", "asked"], "options": "choices", "answer": "answer", "answer_is": "index"},
            {"given": "a", "asked": "b", "choices": ["38", "27.675", "30"], "answer": 1},
        ),
        (
            {"question": "q", "options": "o", "answer": "a", "answer_is": "text"},
            {"q": "?", "o": {"A": "38", "B": "27.675"}, "a": "27.675"},
        ),
        ({"question": "in.q", "options": "in.o", "answer": "a"}, {"in": {"q": "?", "o": ["38", "27.675"]}, "a": "B"}),
    ],
)
def test_any_multiple_choice_is_read_by_a_mapping(tmp_path: Path, fields: dict[str, Any], row: dict[str, Any]) -> None:
    question = only(tmp_path, "fields", row, fields=fields)
    assert question.reference == "B"
    assert question.options[1].text == "27.675"


def test_rows_that_are_no_question_are_named_and_the_others_are_asked(tmp_path: Path) -> None:
    outside = {**FORMS["mmlu"], "answer": 9}
    found = read(tmp_path, "mmlu", FORMS["mmlu"], "{broken", outside, {"question": "Who?"}, [1])
    assert len(found.questions) == 1
    assert [(one.file, one.row) for one in found.unparsed] == [("rows.jsonl", row) for row in (1, 2, 3, 4)]
    assert [one.reason for one in found.unparsed][1:3] == [
        "its answer 9 is none of the 4 options, which count from 0",
        "it has no field 'choices'",
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"id": "a2", "answerKey": "E"}, "its answer 'E' is none of the options 1, 2"),
        ({}, "another row has its id, 'a1'"),
        ({"choices": {"text": ["smoke"], "label": ["1"]}}, "it has 1 options"),
        ({"choices": {"text": ["smoke", "rain"], "label": ["2", "2"]}}, "two options have one label (2, 2)"),
        ({"choices": {"text": ["smoke", "rain"], "label": ["2", "[x]"]}}, "'[x]' is no label: one or two letters"),
    ],
)
def test_a_row_that_is_not_a_question_is_named(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    (row,) = read(tmp_path, "arc", FORMS["arc"], {**FORMS["arc"], **changed}).unparsed
    assert row.reason.startswith(reason)


@pytest.mark.parametrize(
    ("form", "values", "message"),
    [
        ("arc", {}, r"'b': no row is a question of form 'arc'.*Fields of its rows: code, pr"),
        ("arc", {"where": {"subject": ["law"]}}, r"`where` .* leaves none.*Fields of its rows: code, pr"),
        ("arc", {"rows": {"file": "/gone.jsonl"}}, r"benchmark 'b': .*gone\.jsonl: there is no such file"),
        ("human_eval", {"rows": {"package": "no-such-eval:Data.jsonl"}}, "pip install no-such-eval"),
    ],
    ids=["other form", "where", "no file", "no package"],
)
def test_rows_that_cannot_be_asked_are_a_fault_of_the_configuration(
    tmp_path: Path, form: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, form, {"code": 1, "prompt": 2}, **values)


def test_only_rows_that_are_wanted_are_taken(tmp_path: Path) -> None:
    law = {**FORMS["mmlu_pro"], "question_id": 8, "category": "law"}
    found = read(tmp_path, "mmlu_pro", FORMS["mmlu_pro"], law, where={"category": ["math"]})
    assert [question.item_id for question in found.questions] == ["7"]


def test_a_sample_is_drawn_whatever_the_order_and_a_larger_one_holds_it(tmp_path: Path) -> None:
    rows = [{**FORMS["arc"], "id": f"a{number}"} for number in range(20)]
    small, large = (read(tmp_path, "arc", *order, sample=size) for size, order in ((5, rows), (10, rows[::-1])))
    assert large.questions[:5] == small.questions
    assert read(tmp_path, "arc", *rows).identity == read(tmp_path, "arc", *reversed(rows)).identity


def test_identities_do_not_change_between_versions(tmp_path: Path) -> None:
    assert read(tmp_path, "arc", FORMS["arc"]).identity == "6d502d7949f0221ed2e4b7bda7f1f997"


def test_a_file_inside_an_installed_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "small_eval-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: small-eval\nVersion: 1.0\n")
    (installed / "RECORD").write_text("small_eval/data/Small.jsonl.gz,,\n")
    (tmp_path / "small_eval/data").mkdir(parents=True)
    row = json.dumps(FORMS["human_eval"]).encode()
    (tmp_path / "small_eval/data/Small.jsonl.gz").write_bytes(gzip.compress(row))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert only(tmp_path, "human_eval", {}, rows={"package": "small-eval:Small.jsonl.gz"}).item_id == "HumanEval/0"


def test_the_bundled_questions_are_all_read() -> None:
    sets = [read_questions(benchmark) for benchmark in load_benchmarks("demo").benchmarks]
    assert [(len(one.questions), one.unparsed) for one in sets] == [(15, ()), (8, ())]  # a sample of 30, and all


def test_all_of_human_eval_is_read_as_its_package_ships_it() -> None:
    found = as_shipped("human_eval", package="human-eval:HumanEval.jsonl.gz")
    assert {question.item_id for question in found.questions} == {f"HumanEval/{number}" for number in range(164)}
    assert found.unparsed == ()


def test_rows_of_tal_scq5k_are_read_as_they_are_published() -> None:
    found = as_shipped("tal_scq5k", file=str(HERE / "published/tal_scq5k_en.jsonl"))
    assert found.unparsed == ()
    asked = {question.item_id[:8]: question for question in found.questions}
    answers = {"6df1f19c": "A", "9aca1265": "B", "858fbc6d": "C", "78067125": "B", "850798e4": "B", "2b81f56a": "D"}
    assert {name: question.reference for name, question in asked.items()} == answers
    sum_of_a_series = asked["2b81f56a"]
    assert [option.text for option in sum_of_a_series.options] == [f"$${n}$$" for n in (192, 196, 200, 204, 208)]
    assert sum_of_a_series.worked.startswith(r"$(4+20)\times17\div2=204$")
