"""Benchmarks that are tasks of lm-eval: its prompts, filters and metrics; our calls."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, materialize

from assets.evaluation import harness
from assets.evaluation.assets import benchmark_asset
from assets.evaluation.checks import benchmark_checks
from assets.evaluation.questions import QuestionSet
from assets.evaluation.runs import read_all_questions
from assets.evaluation.schema import BENCHMARK_ANSWERS
from assets.framework.partitions import tunings
from resources.configuration import ConfigurationError
from tests.fake_endpoint import FakeEndpoint, SeenRequest

SUMS = [{"sum": f"{n} + {n}", "answer": str(2 * n)} for n in range(1, 7)]
EXAMPLES = [{"sum": f"{n} - {n}", "answer": "0"} for n in range(1, 5)]
TASK: dict[str, Any] = {
    "task": "sums",
    "dataset_path": "nowhere/sums",
    "test_split": "test",
    "fewshot_split": "train",
    "output_type": "generate_until",
    "doc_to_text": "How much is {{sum}}?",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 40, "temperature": 0.5},
    "num_fewshot": 2,
    "filter_list": [
        {
            "name": "said",
            "filter": [{"function": "regex", "regex_pattern": r"It is (\d+)"}, {"function": "take_first"}],
        },
        {
            "name": "last",
            "filter": [
                {"function": "regex", "regex_pattern": r"(\d+)", "group_select": -1},
                {"function": "take_first"},
            ],
        },
    ],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 2.0},
}
CODE = """
import os

def lost(doc, results):
    while results[0] == "for ever":
        pass
    if results[0] == "gone":
        os._exit(1)
    return {"exact_match": 1 if results[0] == doc["answer"] else 0 if results[0] != "broken" else {}["no such key"]}

def graded(doc, results):
    return {"exact_match": 0.5 if results[0] else 0}
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder of lm-eval's with the task `sums`."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "scoring.py").write_text(CODE)
    write(folder)
    return folder


def write(folder: Path, **changed: Any) -> None:
    """A task file of lm-eval's; `process_results` names a function of `CODE`."""
    task = {**TASK, **changed}
    function = task.pop("process_results", None)
    if "members" in task:
        task = {"group": task["group"], "task": task["members"]}
    text = yaml.safe_dump({name: value for name, value in task.items() if value is not None})
    if function:
        text += f"process_results: !function scoring.{function}\n"
    (folder / f"{task.get('group') or task['task']}.yaml").write_text(text)


Configure = Callable[..., None]


@pytest.fixture
def configure(tasks: Path, board: Any) -> Configure:
    """Puts a task of the folder among the board's benchmarks, with rows and examples as files."""

    def add(task: str = "sums", rows: list[Any] = SUMS, **values: Any) -> None:
        for name, lines in (("sums", rows), ("examples", EXAMPLES)):
            (board.folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        asked = {"task": task, "include_path": str(tasks), **values.pop("lm_eval", {})}
        files = {f"{key}rows": {"file": str(board.folder / f"{name}.jsonl")} for key, name in FILES.items()}
        benchmark = {"name": "sums", "kind": "lm_eval", "lm_eval": asked, **files, **values}
        board.benchmarks[:] = [{name: value for name, value in benchmark.items() if value is not None}]

    return add


FILES = {"": "sums", "shot_": "examples"}


def read(board: Any) -> QuestionSet:
    (found,) = read_all_questions(board.evaluation)
    return found


def refusal(board: Any) -> str:
    """Why the benchmark is not asked; nothing was sent."""
    with pytest.raises(ConfigurationError) as error:
        read(board)
    assert board.endpoint.chats == []
    return str(error.value)


def number_in(request: SeenRequest) -> int:
    """n of `How much is n + n?`."""
    return int(request.last.split()[3])


def right(request: SeenRequest) -> str:
    return f"It is {2 * number_in(request)}."


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_lm_eval_itself_would_ask_the_same_and_find_the_same_right(
    board: Any, tasks: Path, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    said = ["It is 2", "It is 5\n\nIt is 4", "6", "It is 8.", "It is 10\n\nIt is 11", "no"]
    (board.folder / "said.json").write_text(json.dumps([SUMS, EXAMPLES, said]))
    arguments = [sys.executable, str(Path(__file__).with_name("lm_eval_itself.py")), str(tasks), "sums"]
    told = subprocess.run([*arguments, str(board.folder / "said.json")], capture_output=True, check=True, text=True)
    theirs = json.loads(told.stdout.splitlines()[-1])
    configure()
    fake_endpoint.answer_with(lambda request: said[number_in(request) - 1])
    rows = board.rows()
    asked = {request.last: request.messages for request in fake_endpoint.chats}
    assert [asked[messages[-1]["content"]] for messages in theirs["asked"]] == theirs["asked"]
    assert [float(row["verdict"] == "right") for row in rows] == theirs["exact_match,said"]


def test_an_answer_is_a_row_like_any_other(board: Any, configure: Configure, fake_endpoint: FakeEndpoint) -> None:
    configure(sample=1, shots=0)
    fake_endpoint.answer_with(lambda request: FakeEndpoint.says(right(request), prompt_tokens=7, completion_tokens=3))
    (row,) = board.rows()
    assert BENCHMARK_ANSWERS.frame([row]).height == 1
    assert row["prompt"] == f"[user]\nHow much is {SUMS[int(row['item_id'])]['sum']}?"
    assert (row["extracted"], row["reference"]) == (SUMS[int(row["item_id"])]["answer"],) * 2
    told = {name: row[name] for name in ("kind", "verdict", "decided_by", "finish_reason", "completion_tokens")}
    assert told == {
        "kind": "lm_eval",
        "verdict": "right",
        "decided_by": "metric",
        "finish_reason": "stop",
        "completion_tokens": 3,
    }


def test_what_the_configuration_leaves_out_is_as_the_task_has_it(
    board: Any, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    configure()
    fake_endpoint.answer_with(right)
    (score,) = board.evaluate().scores.to_dicts()
    assert (score["shots"], score["temperature"], score["max_tokens"]) == (2, 0.5, 40)
    sent = fake_endpoint.chats[0].body
    assert (len(sent["messages"]), sent["temperature"], sent["max_tokens"]) == (5, 0.5, 40)


def test_what_the_configuration_gives_counts(board: Any, configure: Configure, fake_endpoint: FakeEndpoint) -> None:
    configure(shots=1, temperature=0, max_tokens=9)
    fake_endpoint.answer_with(right)
    (score,) = board.evaluate().scores.to_dicts()
    assert (score["shots"], score["temperature"], score["max_tokens"]) == (1, 0, 9)


def test_a_larger_sample_holds_the_smaller_in_the_same_words(board: Any, configure: Configure) -> None:
    configure(sample=2)
    small = read(board).questions
    configure(sample=4)
    assert read(board).questions[:2] == small


def test_a_group_asks_the_questions_of_all_its_tasks(board: Any, tasks: Path, configure: Configure) -> None:
    write(tasks, task="products", doc_to_text="What is {{sum}}?")
    write(tasks, task=None, group="arithmetic", members=["sums", "products"])
    configure(task="arithmetic", sample=None)
    asked = read(board).questions
    assert {(one.cluster, one.text.split()[0]) for one in asked} == {("sums", "How"), ("products", "What")}
    assert len({one.item_id for one in asked}) == 2 * len(SUMS)


def test_a_shipped_task_takes_rows_from_a_file(board: Any, configure: Configure) -> None:
    rows = [{"question": "How much is 2 + 2?", "answer": "Two and two.\n#### 4"}]
    configure("gsm8k_cot", rows, shot_rows=None, lm_eval={"include_path": None, "filter": "flexible-extract"})
    found = read(board)
    assert found.questions[0].messages[-1].content == "Q: How much is 2 + 2?\nA:"
    assert (found.benchmark.shots, len(found.questions[0].messages), found.questions[0].reference) == (8, 17, "4")


def test_an_unknown_task_is_told_with_the_names_near_it(board: Any, configure: Configure) -> None:
    configure("sumz")
    said = refusal(board)
    assert "benchmark 'sums'" in said
    assert "has no task 'sumz'" in said
    assert re.search(r"names near it: .*\bsums\b", said)


def test_a_task_finds_its_own_rows(board: Any, tasks: Path, configure: Configure) -> None:
    configure()
    files = {"test": str(board.folder / "sums.jsonl"), "train": str(board.folder / "examples.jsonl")}
    write(tasks, dataset_path="json", dataset_kwargs={"data_files": files, "cache_dir": str(board.folder / "cache")})
    board.benchmarks[0].pop("rows")
    board.benchmarks[0].pop("shot_rows")
    assert len(read(board).questions) == len(SUMS)


# -- what is decided ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "verdict", "reason", "extracted"),
    [
        ("It is 2.", "right", None, "2"),
        ("It is 3.", "wrong", "metric_wrong", "3"),
        ("It is 3.\n\nNo: It is 2.", "wrong", "metric_wrong", "3"),
        ("2", "unreadable", "no_match", None),
    ],
    ids=["right", "wrong", "only up to the stop", "nothing read"],
)
def test_the_filter_reads_and_the_metric_decides(
    board: Any,
    configure: Configure,
    fake_endpoint: FakeEndpoint,
    said: str,
    verdict: str,
    reason: str | None,
    extracted: str | None,
) -> None:
    configure(rows=SUMS[:1])
    fake_endpoint.answer_with(lambda _: said)
    (row,) = board.rows()
    assert (row["verdict"], row["reason"], row["extracted"], row["output"]) == (verdict, reason, extracted, said)


def test_another_filter_decides_anew_and_asks_nothing_again(
    board: Any, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    configure()
    fake_endpoint.answer_with(lambda request: str(2 * number_in(request)))
    assert {row["verdict"] for row in board.rows()} == {"unreadable"}
    configure(lm_eval={"filter": "last"})
    assert {row["verdict"] for row in board.rows()} == {"right"}
    assert len(fake_endpoint.chats) == len(SUMS)


def test_version_and_hash_of_the_task_are_recorded(
    board: Any, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    configure()
    fake_endpoint.answer_with(right)
    board.evaluate()
    (record,) = board.lake.records(BENCHMARK_ANSWERS)
    told = board.lake.facts(BENCHMARK_ANSWERS, record.keys)["lm_eval"]["sums"]
    assert len(told.pop("hash")) == 16
    assert told == {
        "task": "sums",
        "lm_eval": version("lm_eval"),
        "versions": {"sums": "2.0"},
        "metric": "exact_match",
        "filter": "said",
    }


def test_a_change_of_the_tasks_code_makes_its_scores_stale(board: Any, tasks: Path, configure: Configure) -> None:
    configure()
    before = read(board).identity
    (tasks / "scoring.py").write_text(f"{CODE}\n# mended\n")
    assert read(board).identity != before


def test_the_same_task_elsewhere_is_the_same(board: Any, tasks: Path, configure: Configure) -> None:
    configure()
    before = read(board).identity
    moved = tasks.rename(tasks.with_name("moved"))
    configure(lm_eval={"include_path": str(moved)})
    assert read(board).identity == before


@pytest.mark.parametrize(
    ("said", "seconds", "told"),
    [
        ("for ever", 1, "lm-eval took longer than 1 s while it scored the answer"),
        ("gone", 60, "lm-eval's process ended (too much time or memory?) while it scored the answer"),
    ],
    ids=["endless", "killed"],
)
def test_an_answer_in_which_the_metric_is_lost_fails_and_the_others_are_decided(
    board: Any,
    tasks: Path,
    configure: Configure,
    fake_endpoint: FakeEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    seconds: int,
    told: str,
) -> None:
    write(tasks, process_results="lost", filter_list=None)
    configure()
    monkeypatch.setattr(harness, "SECONDS_TO_SCORE", seconds)
    fake_endpoint.answer_with(lambda request: said if number_in(request) == 3 else str(2 * number_in(request)))
    rows = board.rows()
    assert [row["verdict"] for row in rows] == ["right", "right", "failed", "right", "right", "right"]
    assert rows[2]["detail"] == told


def test_an_answer_at_which_the_metric_breaks_fails_with_its_words(
    board: Any, tasks: Path, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    write(tasks, process_results="lost", filter_list=None)
    configure(rows=SUMS[:1])
    fake_endpoint.answer_with(lambda _: "broken")
    (row,) = board.rows()
    assert (row["verdict"], row["reason"]) == ("failed", "not_scored")
    assert "KeyError: 'no such key'" in row["detail"]


def test_a_metric_of_shares_stops_the_evaluation(
    board: Any, tasks: Path, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    write(tasks, process_results="graded", filter_list=None)
    configure()
    with pytest.raises(ConfigurationError, match=r"does not tell right from wrong: it gave 0\.5"):
        board.rows()


def test_its_answers_and_scores_pass_the_checks_of_all_others(
    board: Any, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    configure()
    fake_endpoint.answer_with(lambda request: right(request) if number_in(request) > 1 else "It is not.")
    evaluation = board.evaluation
    made = materialize(
        [benchmark_asset(tunings(["smollm2-135m"])), *benchmark_checks(evaluation.benchmarks)],
        partition_key="smollm2-135m|untuned",
        instance=DagsterInstance.ephemeral(),
        resources={name: getattr(evaluation, name) for name in ("lake", "chat", "training", "benchmarks", "serving")},
    )
    assert {check.check_name: check.passed for check in made.get_asset_check_evaluations()} == {
        "answered_once": True,
        "labels_within_options": True,
        "reasons_given": True,
        "unreadable_share": True,
        "failed_share": True,
        "scores_reproducible": True,
    }


# -- what is refused before anything is asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"output_type": "multiple_choice", "doc_to_choice": "{{[answer]}}"}, "compares probabilities of tokens"),
        ({"output_type": "loglikelihood"}, "compares probabilities of tokens"),
        ({"unsafe_code": True}, "runs the code that a model wrote, in no sandbox"),
        ({"gen_prefix": "The answer is"}, "begins the answer itself"),
        ({"repeats": 3}, "asks each question several times"),
        ({"doc_to_image": "picture"}, "shows pictures"),
        ({"doc_to_text": "{{no_such_field}}"}, "'no_such_field' is undefined"),
        ({"process_results": "no_such_function"}, "has no function 'no_such_function'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_task_that_cannot_be_asked_is_refused(
    board: Any, tasks: Path, configure: Configure, changed: dict[str, Any], told: str
) -> None:
    write(tasks, **changed)
    configure()
    said = refusal(board)
    assert "'sums'" in said
    assert told in said


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"lm_eval": {"metric": "bleu"}}, "has no metric 'bleu': it has exact_match"),
        ({"lm_eval": {"filter": "first"}}, "has no filter 'first': it has said, last"),
        ({"lm_eval": {"include_path": "no/folder"}}, "include_path no/folder is no folder"),
        ({"shots": 9}, "finds fewer than 9 examples"),
        ({"rows": [{"total": "1 + 1"}]}, "'sum' is undefined. Fields of the given rows: total"),
        ({"rows": []}, "no row can be asked (there is none)"),
    ],
    ids=["metric", "filter", "folder", "shots", "fields", "no rows"],
)
def test_a_setting_that_does_not_fit_the_task_is_named(
    board: Any, configure: Configure, values: dict[str, Any], told: str
) -> None:
    configure(**values)
    assert told in refusal(board)


def test_rows_that_are_not_there_are_named(board: Any, tasks: Path, configure: Configure) -> None:
    write(tasks, dataset_path="json", dataset_kwargs={"data_files": {"test": str(board.folder / "gone.jsonl")}})
    configure(shot_rows=None)
    board.benchmarks[0].pop("rows")
    said = refusal(board)
    assert "lm-eval could not load 'sums': FileNotFoundError" in said
    assert "`rows` takes them from another" in said


def test_a_row_that_lacks_a_field_is_left_out_and_named(board: Any, configure: Configure) -> None:
    configure(rows=[*SUMS, {"answer": "3"}])
    found = read(board)
    assert len(found.questions) == len(SUMS)
    assert [(one.row, one.reason) for one in found.unparsed] == [(6, "it has no field 'sum'")]


def test_where_lm_eval_is_not_installed_one_error_says_how_to_get_it(
    board: Any, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    assert "the package lm-eval is not installed: `make lm-eval`" in refusal(board)


def test_lm_eval_is_loaded_in_no_process_but_its_own(board: Any, configure: Configure) -> None:
    configure()
    read(board)
    assert "lm_eval" not in sys.modules
