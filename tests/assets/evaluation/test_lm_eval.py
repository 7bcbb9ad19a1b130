"""Benchmarks that are tasks of lm-eval: its prompts, filters and metrics; this project's calls."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.evaluation.lm_eval_program import Refused, describe, grade, load
from assets.evaluation.lm_eval_tasks import grade_answers
from assets.evaluation.questions import LoadedTask, QuestionSet
from assets.evaluation.runs import read_all_questions
from assets.evaluation.schema import BENCHMARK_ANSWERS
from resources.configuration import ConfigurationError
from tests.fake_endpoint import FakeEndpoint, SeenRequest

SUMS = [{"sum": f"{n} + {n}", "answer": str(2 * n)} for n in range(1, 7)]
EXAMPLES = [{"sum": f"{n} - {n}", "answer": "0"} for n in range(1, 5)]
FILES = Path(__file__).with_name("lm_eval_task")


def write(folder: Path, **changed: Any) -> None:
    """A task file of lm-eval; `process_results` names a function of scoring.py."""
    task = {**yaml.safe_load((FILES / "sums.yaml").read_text()), **changed}
    function = task.pop("process_results", None)
    if "members" in task:
        task = {"group": task["group"], "task": task["members"]}
    text = yaml.safe_dump({name: value for name, value in task.items() if value is not None})
    if function:
        text += f"process_results: !function scoring.{function}\n"
    (folder / f"{task.get('group') or task['task']}.yaml").write_text(text)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder of lm-eval tasks with the task `sums`."""
    return Path(shutil.copytree(FILES, tmp_path / "tasks"))


def order(folder: Path | None, **changed: Any) -> dict[str, Any]:
    """What the program reads from its standard input."""
    given = {"task": "sums", "include_path": folder and str(folder), "metric": None, "filter": None}
    return {**given, "rows": SUMS, "shot_rows": EXAMPLES, "shots": None, **changed}


def described(folder: Path | None, **changed: Any) -> dict[str, Any]:
    """What the program describes, in this process."""
    given = order(folder, **changed)
    return describe(load(given), given)


# -- a whole evaluation ------------------------------------------------------------------------------------------------

Configure = Callable[..., None]


@pytest.fixture
def configure(tasks: Path, board: Any) -> Configure:
    """Puts the task `sums` among the board's benchmarks, with rows and examples as files."""

    def add(rows: list[Any] = SUMS, **values: Any) -> None:
        files = {"rows": rows, "shot_rows": EXAMPLES}
        for name, lines in files.items():
            (board.folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        asked = {"task": "sums", "include_path": str(tasks), **values.pop("lm_eval", {})}
        located = {name: {"file": str(board.folder / f"{name}.jsonl")} for name in files}
        board.benchmarks[:] = [{"name": "sums", "kind": "lm_eval", "lm_eval": asked, **located, **values}]

    return add


def read(board: Any) -> QuestionSet:
    (found,) = read_all_questions(board.evaluation)
    return found


def number_in(request: SeenRequest) -> int:
    """n of `How much is n + n?`."""
    return int(request.last.split()[3])


def test_questions_and_grades_are_those_of_lm_evals_own_evaluator(
    board: Any, tasks: Path, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    said = ["It is 2", "It is 5\n\nIt is 4", "6", "It is 8.", "It is 10\n\nIt is 11", "no"]
    (board.folder / "said.json").write_text(json.dumps([SUMS, EXAMPLES, said]))
    arguments = [sys.executable, str(Path(__file__).with_name("lm_eval_itself.py")), str(tasks), "sums"]
    run = subprocess.run([*arguments, str(board.folder / "said.json")], capture_output=True, check=True, text=True)
    theirs = json.loads(run.stdout.splitlines()[-1])
    configure()
    fake_endpoint.answer_with(
        lambda request: FakeEndpoint.says(said[number_in(request) - 1], prompt_tokens=7, completion_tokens=3)
    )
    made = board.evaluate()
    rows = sorted(made.answers.to_dicts(), key=lambda row: int(row["item_id"]))
    asked = {request.last: request.messages for request in fake_endpoint.chats}
    assert [asked[messages[-1]["content"]] for messages in theirs["asked"]] == theirs["asked"]
    assert [float(row["verdict"] == "right") for row in rows] == theirs["exact_match,said"]
    assert [(row["verdict"], row["reason"], row["extracted"]) for row in rows[:3]] == [
        ("right", None, "2"),
        ("wrong", "metric_wrong", "5"),
        ("unreadable", "no_match", None),
    ]
    assert {(row["kind"], row["decided_by"], row["completion_tokens"]) for row in rows} == {("lm_eval", "metric", 3)}
    assert rows[1]["output"] == said[1]
    (score,) = made.scores.to_dicts()
    assert (score["shots"], score["temperature"], score["max_tokens"]) == (2, 0.5, 40)  # the task's own
    sent = fake_endpoint.chats[0].body
    assert (len(sent["messages"]), sent["temperature"], sent["max_tokens"]) == (5, 0.5, 40)
    (record,) = board.lake.records(BENCHMARK_ANSWERS)
    facts = board.lake.facts(BENCHMARK_ANSWERS, record.keys)["lm_eval"]["sums"]
    assert len(facts.pop("hash")) == 16
    assert facts == {
        "task": "sums",
        "lm_eval": version("lm_eval"),
        "versions": {"sums": "2.0"},
        "metric": "exact_match",
        "filter": "said",
    }


def test_another_filter_grades_again_and_asks_nothing_again(
    board: Any, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    fake_endpoint.answer_with(lambda request: str(2 * number_in(request)))
    for filtered, verdict in (("said", "unreadable"), ("last", "right")):
        configure(sample=2, shots=1, temperature=0, max_tokens=9, lm_eval={"filter": filtered})
        made = board.evaluate()
        assert set(made.answers["verdict"]) == {verdict}
    (score,) = made.scores.to_dicts()
    assert (score["shots"], score["temperature"], score["max_tokens"]) == (1, 0, 9)  # as configured
    assert len(fake_endpoint.chats) == 2


def test_an_answer_in_which_the_metric_hangs_or_dies_fails_and_the_others_are_graded(tasks: Path) -> None:
    write(tasks, process_results="lost", filter_list=None)
    task = LoadedTask(order(tasks, metric="exact_match", filter="none"), {})
    answers = [("0", "2"), ("1", "for ever"), ("2", "gone"), ("3", "broken"), ("4", "10")]
    grades = asyncio.run(grade_answers(task, answers, seconds=2))
    assert [one.verdict for one in grades] == ["right", "failed", "failed", "failed", "right"]
    details = ["lm-eval took longer than 2 s", "lm-eval's process ended with exit code 1", "KeyError: 'no such key'"]
    for one, detail in zip(grades[1:4], details, strict=True):
        assert str(one.detail).startswith(detail)


@pytest.mark.parametrize("change", ["code", "place"])
def test_a_changed_task_makes_scores_stale_and_a_moved_one_does_not(
    board: Any, tasks: Path, configure: Configure, change: str
) -> None:
    configure(rows=[*SUMS, {"answer": "3"}])
    before = read(board)
    assert [(one.row, one.reason) for one in before.unparsed] == [(6, "it has no field 'sum'")]
    if change == "code":
        (tasks / "scoring.py").open("a").write("# fixed\n")
    else:
        configure(sample=2, lm_eval={"include_path": str(tasks.rename(tasks.with_name("moved")))})
    after = read(board)
    assert (after.task.facts == before.task.facts) == (change == "place")
    assert after.questions == before.questions[: len(after.questions)]  # a larger sample holds the smaller


def test_a_missing_package_is_named_before_anything_is_asked(
    board: Any, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ConfigurationError, match=r"'sums' is of kind lm_eval, and the package .* `make lm-eval`"):
        read(board)
    assert board.endpoint.chats == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lm_eval": {"task": "sums", "filter": "first"}}, "benchmark 'sums': .*has no filter 'first'"),
        ({"rows": []}, "no row can be asked \\(there is none\\)"),
    ],
)
def test_a_fault_names_the_benchmark(board: Any, configure: Configure, values: dict[str, Any], message: str) -> None:
    configure(**values)
    with pytest.raises(ConfigurationError, match=message):
        read(board)


def test_this_process_does_not_import_lm_eval() -> None:
    program = "import assets.evaluation.runs, sys; sys.exit('lm_eval' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=False).returncode == 0


# -- the program -------------------------------------------------------------------------------------------------------


def test_a_group_asks_the_questions_of_all_its_tasks(tasks: Path, tmp_path: Path) -> None:
    for name, rows in (("test", SUMS), ("train", EXAMPLES)):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("test", "train")}
    local = {"dataset_path": "json", "dataset_kwargs": {"data_files": files, "cache_dir": str(tmp_path / "cache")}}
    write(tasks, **local)
    write(tasks, task="products", doc_to_text="What is {{sum}}?", **local)
    write(tasks, task=None, group="arithmetic", members=["sums", "products"])
    asked = described(tasks, task="arithmetic", rows=None, shot_rows=None)["questions"]
    assert {(one["cluster"], one["messages"][-1][1].split()[0]) for one in asked} == {
        ("sums", "How"),
        ("products", "What"),
    }
    assert len({one["id"] for one in asked}) == 2 * len(SUMS)


def test_a_shipped_task_takes_rows_from_elsewhere() -> None:
    rows = [{"question": "How much is 2 + 2?", "answer": "Two and two.\n#### 4"}]
    found = described(None, task="gsm8k_cot", rows=rows, shot_rows=None, filter="flexible-extract")
    (question,) = found["questions"]
    assert question["messages"][-1] == ("user", "Q: How much is 2 + 2?\nA:")
    assert (found["shots"], len(question["messages"]), question["reference"]) == (8, 17, "4")


@pytest.mark.parametrize(
    ("changed", "values", "message"),
    [
        (
            {"output_type": "multiple_choice", "doc_to_choice": ["0", "2"], "doc_to_target": 1},
            {},
            "compares probabilities of tokens",
        ),
        ({"output_type": "loglikelihood"}, {}, "compares probabilities of tokens"),
        ({"unsafe_code": True}, {}, "runs the code that a model wrote outside a sandbox"),
        ({"gen_prefix": "The answer is"}, {}, "begins the answer itself"),
        ({"repeats": 3}, {}, "asks each question several times"),
        ({"doc_to_image": "picture"}, {}, "shows pictures"),
        ({"doc_to_text": "{{no_such_field}}"}, {}, "'no_such_field' is undefined"),
        ({"process_results": "no_such_function"}, {}, "has no function 'no_such_function'"),
        (
            {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "/gone.jsonl"}}},
            {"rows": None},
            "FileNotFoundError.*`rows` reads",
        ),
        ({}, {"task": "sumz"}, r"has no task 'sumz'.*names near it: .*\bsums\b"),
        ({}, {"metric": "bleu"}, "has no metric 'bleu': it has exact_match"),
        ({}, {"filter": "first"}, "has no filter 'first': it has said, last"),
        ({}, {"include_path": "no/folder"}, "include_path no/folder is not a folder"),
        ({}, {"shots": 9}, "finds fewer than 9 examples"),
        ({}, {"rows": [{"total": "1 + 1"}]}, "'sum' is undefined; the given rows have the fields total"),
    ],
)
def test_a_task_that_cannot_be_asked_is_refused(
    tasks: Path, changed: dict[str, Any], values: dict[str, Any], message: str
) -> None:
    write(tasks, **changed)
    with pytest.raises(Refused, match=message):
        described(tasks, **values)


def test_a_metric_that_is_neither_right_nor_wrong_is_refused(tasks: Path) -> None:
    write(tasks, process_results="graded", filter_list=None)
    given = order(tasks, metric="exact_match", filter="none")
    requests = load(given)
    with pytest.raises(Refused, match=r"does not say right or wrong: it gave 0\.5"):
        grade(requests["0"], given, "2")
