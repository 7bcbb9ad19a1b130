"""Benchmarks that are tasks of lm-eval: its own command asks and grades, this project's engine calls the model."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.evaluation.configuration import LmEvalBenchmark
from assets.evaluation.lm_eval import metric_and_filter, read_task, refuse_asked_rows_as_shots
from assets.evaluation.lm_eval_command import LmEvalReport, LmEvalStopped, Sample, run_command
from assets.evaluation.questions import QuestionSet
from assets.evaluation.runs import read_all_questions
from assets.evaluation.schema import BENCHMARK_ANSWERS
from resources.chat.calls import EndpointUnusable, Message
from resources.configuration import ConfigurationError
from tests.fake_endpoint import FakeEndpoint, SeenRequest

SUMS = [{"sum": f"{n} + {n}", "answer": str(2 * n)} for n in range(1, 7)]
EXAMPLES = [{"sum": f"{n} - {n}", "answer": "0"} for n in range(1, 5)]
FILES = Path(__file__).with_name("lm_eval_task")


def write(folder: Path, **changed: Any) -> None:
    """A task or group file of lm-eval: the task `sums` with changes, or the members of a group."""
    task = {**yaml.safe_load((FILES / "sums.yaml").read_text()), **changed}
    if "members" in task:
        task = {"group": task["group"], "task": task["members"]}
    (folder / f"{task.get('group') or task['task']}.yaml").write_text(yaml.safe_dump(task))


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder of lm-eval tasks with the task `sums`."""
    return Path(shutil.copytree(FILES, tmp_path / "tasks"))


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


def test_lm_eval_asks_through_the_engine_and_its_samples_become_rows(
    board: Any, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    said = ["It is 2", "It is 5\n\nIt is 4", "6", "It is 8.", "It is 10\n\nIt is 11"]
    configure()
    fake_endpoint.answer_with(
        lambda request: (
            FakeEndpoint.fails(400, "too long")
            if number_in(request) > len(said)
            else FakeEndpoint.says(said[number_in(request) - 1], prompt_tokens=7, completion_tokens=3)
        )
    )
    made = board.evaluate()
    rows = sorted(made.answers.to_dicts(), key=lambda row: int(row["item_id"]))
    assert [(row["verdict"], row["reason"], row["extracted"]) for row in rows] == [
        ("right", None, "2"),
        ("wrong", "metric_wrong", "5"),
        ("unreadable", "no_match", None),
        ("right", None, "8"),
        ("right", None, "10"),
        ("failed", "not_answered", None),
    ]
    assert {(row["kind"], row["decided_by"], row["completion_tokens"]) for row in rows[:5]} == {
        ("lm_eval", "metric", 3)
    }
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


CHOICES = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{sum}} =",
    "doc_to_choice": ["2", "4", "seven"],
    "doc_to_target": "{{['2', '4', '6', '8', '10', '12'].index(answer)}}",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    "filter_list": None,
    "generation_kwargs": None,
    "num_fewshot": 0,
}


@pytest.mark.embedded
def test_a_task_that_compares_log_probabilities_is_scored_by_the_embedded_server_and_asked_once(
    board: Any, tasks: Path, configure: Configure, embedded_folders: None
) -> None:
    write(tasks, **CHOICES)
    configure(rows=SUMS[:2], lm_eval={"log_probabilities": True})
    board.serving = {"kind": "local"}
    made = board.evaluate()
    rows = sorted(made.answers.to_dicts(), key=lambda row: int(row["item_id"]))
    for row in rows:
        numbers, texts = zip(*(line.split(" ", 1) for line in row["output"].splitlines()), strict=True)
        assert texts == ('" 2"', '" 4"', '" seven"')
        likeliest = max(range(3), key=lambda index: float(numbers[index]))
        assert row["verdict"] == ("right" if str(likeliest) == row["reference"] else "wrong")
        assert (row["prompt"], row["extracted"], row["completion_tokens"]) == (row["prompt"], None, 0)
        assert float(numbers[2]) < max(map(float, numbers[:2])) < 0
    assert made.usage["sums"].calls == 6
    configure(rows=SUMS[:2], lm_eval={"log_probabilities": True, "metric": "acc_norm"})
    again = board.evaluate()
    assert (again.usage["sums"].calls, again.usage["sums"].replayed) == (0, 6)


def test_a_server_that_does_not_tokenize_is_named(
    board: Any, tasks: Path, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    write(tasks, **CHOICES)
    configure(rows=SUMS[:2], lm_eval={"log_probabilities": True})
    with pytest.raises(EndpointUnusable, match="log-probabilities need /tokenize, which it has not"):
        board.evaluate()


def test_a_command_that_hangs_is_ended() -> None:
    async def hang(*_: object) -> str:
        await asyncio.sleep(60)
        return ""

    order = {"task": "sums", "include_path": None, "rows": None, "shot_rows": None, "shots": None}
    order["log_probabilities"] = False
    with pytest.raises(LmEvalStopped, match=r"lm-eval took longer than 0\.2 s"):
        asyncio.run(run_command(order, hang, seconds=0.2))


def test_a_changed_task_makes_scores_stale_and_a_moved_one_does_not(
    board: Any, tasks: Path, configure: Configure
) -> None:
    configure(rows=[*SUMS, {"answer": "3"}])
    before = read(board)
    assert [(one.row, one.reason) for one in before.unparsed] == [(6, "it has no field 'sum'")]
    moved = tasks.rename(tasks.with_name("moved"))
    configure(sample=2, lm_eval={"include_path": str(moved)})
    after = read(board)
    assert after.task.facts == before.task.facts
    assert after.questions == before.questions[:2]  # a larger sample holds the smaller
    (moved / "scoring.py").open("a").write("# fixed\n")
    assert read(board).task.facts != before.task.facts


def test_an_unusable_endpoint_ends_the_command_and_the_run(
    board: Any, configure: Configure, fake_endpoint: FakeEndpoint
) -> None:
    fake_endpoint.answer_with(lambda request: FakeEndpoint.fails(401, "Incorrect API key"))
    configure(rows=SUMS[:2])
    with pytest.raises(EndpointUnusable):
        board.evaluate()


def test_a_missing_package_is_named_before_anything_is_asked(
    board: Any, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ConfigurationError, match=r"'sums' is of kind lm_eval, and the package .* `make lm-eval`"):
        read(board)
    assert board.endpoint.chats == []


def test_a_group_asks_the_questions_of_all_its_tasks(tasks: Path, tmp_path: Path) -> None:
    for name, rows in (("test", SUMS), ("train", EXAMPLES)):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("test", "train")}
    local = {"dataset_path": "json", "dataset_kwargs": {"data_files": files, "cache_dir": str(tmp_path / "cache")}}
    write(tasks, **local)
    write(tasks, task="products", doc_to_text="What is {{sum}}?", **local)
    write(tasks, group="arithmetic", members=["sums", "products"])
    benchmark = LmEvalBenchmark(name="both", kind="lm_eval", lm_eval={"task": "arithmetic", "include_path": str(tasks)})
    asked = read_task(benchmark).questions
    assert {(one.cluster, one.text.split()[0]) for one in asked} == {("sums", "How"), ("products", "What")}
    assert len({one.item_id for one in asked}) == 2 * len(SUMS)


def test_a_shipped_task_takes_rows_from_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"question": "How much is 2 + 2?", "answer": "Two and two.\n#### 4"}))
    task = {"task": "gsm8k_cot", "filter": "flexible-extract"}
    found = read_task(LmEvalBenchmark(name="gsm", kind="lm_eval", lm_eval=task, rows={"file": str(file)}))
    (question,) = found.questions
    assert question.messages[-1] == Message("user", "Q: How much is 2 + 2?\nA:")
    assert (found.benchmark.shots, len(question.messages), question.reference) == (8, 17, "4")


@pytest.mark.parametrize(
    ("changed", "values", "message"),
    [
        (
            {"output_type": "multiple_choice", "doc_to_choice": ["0", "2"], "doc_to_target": 1},
            {},
            "set lm_eval.log_probabilities: true",
        ),
        ({}, {"lm_eval": {"log_probabilities": True}}, "leave out lm_eval.log_probabilities"),
        (
            {**CHOICES, "doc_to_text": ""},
            {"lm_eval": {"log_probabilities": True}, "shots": 0},
            "continuation without a context",
        ),
        ({"unsafe_code": True}, {}, "confirm_run_unsafe_code"),
        ({"doc_to_text": "{{no_such_field}}"}, {}, "'no_such_field' is undefined"),
        ({}, {"lm_eval": {"task": "sumz"}}, "no single task 'sumz' whose rows can be replaced"),
        ({}, {"lm_eval": {"include_path": "no/folder"}}, "no/folder is not a folder"),
        ({}, {"rows": []}, "no row can be asked \\(there is none\\)"),
    ],
)
def test_a_task_that_cannot_be_asked_is_refused_before_anything_is_spent(
    board: Any, tasks: Path, configure: Configure, changed: dict[str, Any], values: dict[str, Any], message: str
) -> None:
    write(tasks, **changed)
    configure(**values)
    with pytest.raises(ConfigurationError, match=f"'sums'.*{message}"):
        read(board)
    assert board.endpoint.chats == []


@pytest.mark.parametrize(
    ("asked", "value", "message"),
    [
        ({"metric": "bleu"}, 1.0, "has no metric 'bleu': it has exact_match"),
        ({"filter": "first"}, 1.0, "has no filter 'first': it has said"),
        ({}, 0.5, r"does not say right or wrong: it gave 0\.5"),
    ],
)
def test_a_metric_that_cannot_decide_is_refused(asked: dict[str, str], value: float, message: str) -> None:
    benchmark = LmEvalBenchmark(name="sums", kind="lm_eval", lm_eval={"task": "sums", **asked})
    sample = Sample("sums", 0, "2", (Message("user", "1 + 1?"),), {"said": "2"}, {("exact_match", "said"): value})
    with pytest.raises(ConfigurationError, match=message):
        metric_and_filter(benchmark, LmEvalReport([sample], {"higher_is_better": {}}))


@pytest.mark.parametrize(
    ("shots", "samples", "refused"), [(2, None, True), (2, [{"sum": "1"}], False), (0, None, False)]
)
def test_the_rows_that_are_asked_are_no_examples(shots: int, samples: list[Any] | None, refused: bool) -> None:
    report = LmEvalReport(
        [], {"n-shot": {"sums": shots}, "configs": {"sums": {"fewshot_config": {"samples": samples}}}}
    )
    with pytest.raises(ConfigurationError, match="give shot_rows, or shots: 0") if refused else nullcontext():
        refuse_asked_rows_as_shots(report)


def test_this_process_does_not_import_lm_eval() -> None:
    program = "import assets.evaluation.runs, sys; sys.exit('lm_eval' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=False).returncode == 0
