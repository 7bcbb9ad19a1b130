"""The asset `benchmark_scores` and its checks, in Dagster."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from dagster import AssetExecutionContext, DagsterInstance, ExecuteInProcessResult, asset, materialize

from assets.evaluation.assets import benchmark_asset, evaluate_partitions
from assets.evaluation.checks import CHECKS, not_reproduced
from assets.evaluation.evaluate_checkpoints import CheckpointEvaluation
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.framework.partitions import VARIANTS, tunings
from resources.chat.calls import EndpointUnreachable
from resources.lake.store import StoreUnreachable
from resources.sandbox.sandbox import require_sandbox
from tests.assets.evaluation.sums import CHOICE, sums
from tests.fake_endpoint import Answer, FakeEndpoint

Run = Callable[..., ExecuteInProcessResult]


@pytest.fixture
def run(board: Any) -> Run:
    """Materialise a variant with its checks."""

    def materialise(variant: str = "untuned") -> ExecuteInProcessResult:
        evaluation = board.evaluation
        return materialize(
            [benchmark_asset(tunings(["smollm2-135m"], VARIANTS)), *CHECKS],
            partition_key=f"smollm2-135m|{variant}",
            instance=DagsterInstance.ephemeral(),
            resources={
                name: getattr(evaluation, name) for name in ("lake", "chat", "training", "benchmarks", "serving")
            },
            raise_on_error=False,
        )

    board.add(CHOICE, sums(8))
    return materialise


def shown(result: ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def failure(result: ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    return str(event.step_failure_data.error)


def failed_checks(result: ExecuteInProcessResult) -> set[str]:
    return {one.check_name for one in result.get_asset_check_evaluations() if not one.passed}


def test_accuracy_is_shown_first_words_do_nothing_and_rows_that_are_no_question_are_listed(
    run: Run, board: Any, fake_endpoint: FakeEndpoint
) -> None:
    (board.folder / "sums.jsonl").open("a").write("{broken\n")
    fake_endpoint.answer_with(
        lambda request: f"<script>alert(1)</script> {'[B]' if '1 + 1' in request.last else '[A]'}"
    )
    result = run()
    metadata = shown(result)
    assert next(iter(metadata)) == "accuracy"
    assert "12.5% | 2.2% to 47.1%" in metadata["accuracy"].replace("\\", "")
    assert "<script>" not in metadata["sample answer"]
    assert "sums.jsonl, 8" in metadata["rows that are no question"].replace("\\", "")
    assert failed_checks(result) == set()


def test_unreadable_answers_beyond_their_share_make_a_check_warn(run: Run, fake_endpoint: FakeEndpoint) -> None:
    fake_endpoint.answer_with(lambda request: "Who knows.")
    result = run()
    assert result.success
    assert failed_checks(result) == {"unreadable_share"}


@pytest.mark.parametrize(
    ("variant", "answer", "message"),
    [
        ("untuned", FakeEndpoint.fails(400, "the context length is exceeded"), "too many answers failed"),
        ("untuned", FakeEndpoint.fails(404, "no such model", code="model_not_found"), "cannot be used"),
        ("ori", FakeEndpoint.says("[B]"), "there is no checkpoint of "),
    ],
    ids=["failed answers", "unusable endpoint", "not tuned yet"],
)
def test_a_failure_says_what_to_do(
    run: Run, fake_endpoint: FakeEndpoint, variant: str, answer: Answer, message: str
) -> None:
    fake_endpoint.answer_with(lambda request: answer)
    assert message in failure(run(variant))


def test_where_no_sandbox_works_code_is_refused_before_anything_is_asked(
    run: Run, board: Any, fake_endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"question": "question", "answer": "function", "tests": "tests"}
    rows = [{"question": "Double it.", "function": "twice", "tests": "assert twice(2) == 4"}]
    board.add({"name": "programs", "kind": "code", "form": "fields", "fields": fields}, rows)
    monkeypatch.setenv("PATH", str(board.folder))
    require_sandbox.cache_clear()
    assert "install bubblewrap" in failure(run())
    assert fake_endpoint.chats == []


def test_scores_that_their_answers_do_not_give_are_found(run: Run, board: Any, fake_endpoint: FakeEndpoint) -> None:
    fake_endpoint.answer_with(lambda request: "[B]")
    run()
    (record,) = board.lake.records(BENCHMARK_ANSWERS)
    file = board.lake.store.local_path(board.lake.path(BENCHMARK_SCORES, record.keys))
    scores = pl.read_parquet(file)
    scores.with_columns(pl.lit(0.5).alias("accuracy")).write_parquet(file)
    assert not_reproduced(board.lake, record) == [
        {"partition": "smollm2-135m|untuned", "asked": "sums, plain", "fault": "accuracy"}
    ]
    scores.drop("sources", "accuracy_by").write_parquet(file)  # as an earlier version wrote them
    assert [row["fault"] for row in not_reproduced(board.lake, record)] == ["sources, accuracy_by"]


@pytest.mark.parametrize(
    "error", [EndpointUnreachable("no answer"), StoreUnreachable("no lake")], ids=["endpoint", "lake"]
)
def test_an_unattended_run_waits_for_an_outage_to_pass(
    board: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    board.add(CHOICE, sums(8))

    async def fail(*_: object) -> None:
        raise error

    @asset(partitions_def=tunings(["smollm2-135m"], VARIANTS))
    def scores(context: AssetExecutionContext) -> None:
        evaluate_partitions(context, board.evaluation, retry_seconds=(0, 0))

    monkeypatch.setattr(CheckpointEvaluation, "run", fail)
    tags = {"dagster/backfill": "b1"}
    result = materialize([scores], partition_key="smollm2-135m|untuned", tags=tags, raise_on_error=False)
    assert not result.success
    assert len([event for event in result.all_events if event.is_step_up_for_retry]) == 2
