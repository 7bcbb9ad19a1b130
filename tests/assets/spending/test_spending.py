"""What was paid and what it bought, over a tiny lake."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import build_asset_context

from assets.dialogues.schema import DIALOGUES
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.judge_calibration.schema import JUDGE_CALIBRATION
from assets.spending.assets import spending
from assets.spending.schema import SPENDING
from assets.spending.spending import read_rows, record_training_hours, write_spending
from assets.spending.summary import price_of_points, spending_metadata, totals
from resources.chat.spending_log import FOLDER
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake, Table
from tests.tiny_lake import TinyDialogue, TinyLake

CORRECTION = "error_correction"


@pytest.fixture
def tiny(tmp_path: Path) -> TinyLake:
    """Two debates, one of them accepted, and an error correction."""
    lake = TinyLake(Lake.at(str(tmp_path / "lake")))
    lake.add(
        TinyDialogue("one", "1 + 1?", "2", "debate"),
        TinyDialogue("two", "2 + 2?", "4", "debate", accepted=False, reasons=("wrong_final_answer",)),
        TinyDialogue("three", "3 + 3?", "6", CORRECTION),
    )
    return lake


def pay(tiny: TinyLake, *rows: dict[str, Any], name: str | None = None) -> None:
    """Record what an engine paid; each row is what differs from a completion of the judge."""
    usual = {"day": "2026-01-02", "run": "night", "scope": "scored_dialogues/debate|sums-0000", "role": "judge"}
    usual |= {"model": "big", "batch": False, "calls": 1, "prompt_tokens": 100, "completion_tokens": 10, "cost": 0.5}
    content = json.dumps({"rows": [{**usual, **row} for row in rows]}).encode()
    tiny.lake.store.put(f"{FOLDER}/{name or len(tiny.lake.store.list(FOLDER))}.json", content)


def footer(tiny: TinyLake, table: Table, usage: dict[str, Any]) -> PartitionRecord:
    """Write the first partition of a table again, with this usage in its footer."""
    record = tiny.lake.records(table)[0]
    frame = tiny.lake.read(table, [record.keys])
    return tiny.lake.write(table, record.keys, frame, fingerprint=record.fingerprint, facts={"usage": usage})


def sums(rows: pl.DataFrame, **where: str) -> tuple[int, float]:
    """Tokens and US dollars of the rows with these values."""
    chosen = rows.filter(**where)
    return int(chosen["prompt_tokens"].sum() + chosen["completion_tokens"].sum()), sum(chosen["cost"])


def test_what_was_paid_is_found_by_each_column(tiny: TinyLake) -> None:
    pay(
        tiny,
        {},
        {"role": "debater_a", "model": "small", "scope": "scenario_dialogues/debate|sums-0000", "cost": 0.1},
        {"scope": "scored_dialogues/error_correction|sums-0000", "batch": True, "cost": 0.25, "day": "2026-01-03"},
        {"scope": "judge_calibration/0123", "run": "morning"},
        {"scope": "benchmark_answers/smollm|untuned/MATH", "role": "tested", "model": "tuned", "cost": 0.0},
        {"scope": "training_sets/cot", "role": "strong_student"},
    )
    rows = read_rows(tiny.lake)
    for column, expected in {
        "stage": {
            "scored_dialogues": (220, 0.75),
            "scenario_dialogues": (110, 0.1),
            "judge_calibration": (110, 0.5),
            "benchmark_answers": (110, 0.0),
            "chain_of_thought_answers": (110, 0.5),
        },
        "scenario": {"debate": (220, 0.6), "error_correction": (110, 0.25), "": (330, 1.0)},
        "source": {"sums": (330, 0.85), "": (330, 1.0)},
        "mode": {"live": (550, 1.6), "batch": (110, 0.25)},
        "day": {"2026-01-02": (550, 1.6), "2026-01-03": (110, 0.25)},
        "run": {"night": (550, 1.35), "morning": (110, 0.5)},
        "role": {"debater_a": (110, 0.1), "tested": (110, 0.0), "strong_student": (110, 0.5), "judge": (330, 1.25)},
    }.items():
        found = {value: sums(rows, **{column: value}) for value in expected}
        assert found == {value: (tokens, pytest.approx(cost)) for value, (tokens, cost) in expected.items()}, column


@pytest.mark.parametrize("price", [0.0, 3.0])
def test_a_dialogue_has_its_part_of_the_servers_cost(tiny: TinyLake, price: float) -> None:
    """Of the tokens of the model, a third is for the calibration; two dialogues are accepted."""
    pay(tiny, {"cost": 0.0}, {"cost": 0.0}, {"cost": 0.0, "scope": "judge_calibration/1"})
    no_tokens = {"calls": 0, "prompt_tokens": 0, "completion_tokens": 0}
    pay(tiny, no_tokens | {"scope": "model_servers", "role": "model_server", "run": "", "hours": 1.5, "cost": price})
    rows = read_rows(tiny.lake)
    assert rows.filter(stage="model_servers").select("run", "role", "model", "hours", "cost").rows() == [
        ("", "model_server", "big", 1.5, price)
    ]
    shown = spending_metadata(tiny.lake, rows)
    assert (shown["US dollars"].value, shown["hours of machines"]) == (price, 1.5)
    assert shown["US dollars per accepted dialogue"].value == pytest.approx(price * 2 / 3 / 2)
    assert f"| model_server, big | 0 | 1.50 | {price:.2f} |" in shown["by role"].value
    assert ("models without a price" in shown) == (price == 0.0)


def attempt(tiny: TinyLake, folder: str, heartbeat: dict[str, Any], time: str = "2026-01-31T23:50") -> None:
    """Write what an attempt of a training job leaves."""
    launched = {"job": "master-smollm-1", "run_id": "night", "time": f"{time}:00+00:00", "usd_per_hour": 2.0}
    for file, content in (("launched", launched), ("heartbeat", heartbeat)):
        tiny.lake.store.put(f"{folder}/attempts/0001/{file}.json", json.dumps(content).encode())


CHECKPOINT = "checkpoints/smollm/boost_qa/0123"


@pytest.mark.parametrize(
    ("folder", "heartbeat", "expected"),
    [
        (
            CHECKPOINT,
            {"time": "2026-02-01T02:00:00+00:00", "seconds": 3 * 3600},
            [("2026-01-31", "checkpoints", "smollm", 1.0, 2.0), ("2026-02-01", "checkpoints", "smollm", 2.0, 4.0)],
        ),
        (
            "training_sets/tagcos/features-0123",
            {"time": "2026-02-01T01:00:00+00:00", "seconds": 1800},
            [("2026-02-01", "gradient_features", "", 0.5, 1.0)],
        ),
        (CHECKPOINT, {"time": "2026-01-31T23:59:00+00:00"}, [("2026-01-31", "checkpoints", "smollm", 0.15, 0.3)]),
        (CHECKPOINT, {}, []),  # it never started
    ],
)
def test_attempts_of_training_jobs_are_counted_and_stay_known_when_their_folder_is_deleted(
    tiny: TinyLake, folder: str, heartbeat: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    attempt(tiny, folder, heartbeat)
    assert trained(read_rows(tiny.lake)) == expected
    record_training_hours(tiny.lake)
    for file in tiny.lake.store.list(folder):
        tiny.lake.store.delete(file.path)
    assert trained(write_spending(tiny.lake)) == expected


def trained(rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    return rows.filter(role="training", run="night").select("day", "stage", "model", "hours", "cost").rows()


def test_a_job_that_is_launched_again_after_its_folder_was_deleted_is_counted_too(tiny: TinyLake) -> None:
    for hours, day in enumerate(("2026-02-01", "2026-03-01"), 1):
        attempt(tiny, CHECKPOINT, {"time": f"{day}T09:00:00+00:00", "seconds": 3600 * hours}, f"{day}T05:00")
        write_spending(tiny.lake)
    expected = [("2026-02-01", "checkpoints", "smollm", 1.0, 2.0), ("2026-03-01", "checkpoints", "smollm", 2.0, 4.0)]
    assert trained(read_rows(tiny.lake)) == expected


def test_an_attempt_whose_files_are_damaged_is_left_out(tiny: TinyLake) -> None:
    attempt(tiny, CHECKPOINT, {"time": "2026-02-01T02:00:00+00:00", "seconds": 3600})
    tiny.lake.store.put(f"{CHECKPOINT}/attempts/0001/launched.json", b"{")
    assert trained(read_rows(tiny.lake)) == []


def test_accepted_dialogues_are_counted_once_and_priced_with_the_rejected_ones(tiny: TinyLake) -> None:
    pay(tiny, {"cached_tokens": 50}, {"scope": "scenario_dialogues/debate|sums-0000"}, {"scope": "judge_calibration/1"})
    rows = read_rows(tiny.lake)
    assert dict(rows.group_by("scenario").agg(pl.col("accepted").sum()).filter(pl.col("accepted") > 0).rows()) == {
        "debate": 1,
        CORRECTION: 1,
    }
    found = totals(rows)
    assert (found["tokens"], found["cost"], found["accepted"]) == (330, 1.5, 2)
    assert found["cost_per_accepted"] == pytest.approx(0.5)  # of dialogues and verdicts, without the calibration
    assert found["cached_share"] == pytest.approx(50 / 300)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("20260102T000000-a", "first", "2026-01-02"), ("20260102T010000-b", "second", "2026-01-02")], "second"),
        ([("batch-1", "first", "2026-01-02"), ("20260102T010000-b", "second", "2026-01-02")], "second"),
        ([("20260102T010000-b", "first", "2026-01-02"), ("batch-1", "second", "2026-01-02")], "second"),
        (
            [("20260103T000000-a", "second", "2026-01-03"), ("batch-1", "first", "2026-01-02")],
            "second",
        ),  # a copied lake
    ],
)
def test_accepted_dialogues_belong_to_the_run_that_paid_last(
    tiny: TinyLake, files: list[tuple[str, str, str]], expected: str
) -> None:
    for name, run, day in files:
        pay(tiny, {"run": run, "day": day}, name=name)
    accepted = read_rows(tiny.lake).filter(pl.col("accepted") > 0, scenario="debate")
    assert accepted["run"].to_list() == [expected]


@pytest.mark.parametrize(
    ("recorded", "usage", "expected"),
    [
        (0, {"prompt_tokens": 70, "completion_tokens": 30, "cost": 1.0}, (100, 1.0)),  # of an earlier version
        (0, {"prompt_tokens": 40, "replayed_prompt_tokens": 40, "kept_prompt_tokens": 20, "cost": 1.0}, (100, 1.0)),
        (60, {"prompt_tokens": 100, "completion_tokens": 0, "cost": 1.0}, (100, 0.3 + 0.4)),  # a run was killed
        (100, {"prompt_tokens": 100, "cost": 7.0}, (100, 0.3)),  # the price has changed since
        (100, {"prompt_tokens": 60, "cost": 0.2}, (100, 0.3)),  # answers were discarded since
    ],
)
def test_what_only_a_footer_knows_is_added_once(
    tiny: TinyLake, recorded: int, usage: dict[str, Any], expected: tuple[int, float]
) -> None:
    record = footer(tiny, DIALOGUES, usage)
    if recorded:
        scope = f"{DIALOGUES.name}/{record.name}"
        pay(tiny, {"scope": scope, "prompt_tokens": recorded, "completion_tokens": 0, "cost": 0.3})
    tokens, cost = sums(read_rows(tiny.lake))
    assert (tokens, cost) == (expected[0], pytest.approx(expected[1]))


def test_benchmarks_and_calibrations_of_an_earlier_version_are_counted(tiny: TinyLake) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.5}
    for table, keys, facts in (
        (BENCHMARK_ANSWERS, {"base": "b", "variant": "untuned"}, {"usage": {"MATH": usage, "ARC": usage}}),
        (JUDGE_CALIBRATION, {"judge": "j"}, {"usage": usage}),
    ):
        tiny.lake.write(table, keys, table.empty(), fingerprint="x", facts=facts)
    rows = read_rows(tiny.lake)
    assert sums(rows, stage="benchmark_answers") == (30, 1.0)
    assert sums(rows, stage="judge_calibration") == (15, 0.5)


def test_a_day_is_written_again_only_where_it_changed(tiny: TinyLake) -> None:
    pay(tiny, {}, {"day": "2026-01-03"})
    write_spending(tiny.lake)
    first = {record.keys["day"]: record.written_at for record in tiny.lake.records(SPENDING)}
    pay(tiny, {"day": "2026-01-03"})
    write_spending(tiny.lake)
    second = {record.keys["day"]: record.written_at for record in tiny.lake.records(SPENDING)}
    assert [day for day in second if second[day] != first[day]] == ["2026-01-03"]
    assert sums(tiny.lake.read(SPENDING)) == (330, 1.5)


def test_a_day_that_lost_its_rows_is_emptied(tiny: TinyLake) -> None:
    write_spending(tiny.lake)
    tiny.change("one", accepted=False)
    tiny.change("three", accepted=False)
    write_spending(tiny.lake)
    assert tiny.lake.read(SPENDING).height == 0


@pytest.mark.parametrize(
    ("untuned", "tuned", "expected"),
    [
        (0.25, 0.5, [("b", "+25.0", "4.00")]),
        (0.5, 0.25, [("b", "-25.0", "–")]),
        (0.5, None, []),
    ],
)
def test_the_price_of_a_point_is_that_of_what_tuning_gains(
    tiny: TinyLake, untuned: float, tuned: float | None, expected: list[tuple[str, str, str]]
) -> None:
    for variant, accuracy in {"untuned": untuned, "boost_qa": tuned}.items():
        if accuracy is not None:
            empty = {name: 0 if dtype.is_numeric() else "" for name, dtype in BENCHMARK_SCORES.columns.items()}
            row = empty | {"base": "b", "variant": variant, "benchmark": "MATH", "stage": "plain"}
            row |= {"accuracy": accuracy, "accuracy_by": "Wilson", "pass_at": []}
            keys = {"base": "b", "variant": variant}
            tiny.lake.write(BENCHMARK_SCORES, keys, BENCHMARK_SCORES.frame([row]), fingerprint="x")
    assert [tuple(row.values()) for row in price_of_points(tiny.lake, 100.0)] == expected


@pytest.mark.parametrize("cost", [0.5, 0.0])
def test_the_asset_shows_tables_and_a_plot(tiny: TinyLake, cost: float) -> None:
    pay(tiny, {"cost": cost}, {"cost": cost, "scope": "scenario_dialogues/debate|sums-0000", "role": "debater_a"})
    result = spending(context=build_asset_context(), lake=tiny.lake)
    metadata = result.metadata
    assert metadata["US dollars"].value == 2 * cost
    assert metadata["accepted dialogues"] == 2
    assert "| judge, big | 110 |" in metadata["by role"].value
    assert metadata.get("models without a price") == (None if cost else "big")
    unit = "US dollars" if cost else "tokens"
    assert metadata["by day"].value.startswith(f"![{unit} per day")


def test_a_lake_without_any_payment_has_no_plot(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    rows = read_rows(lake)
    assert rows.height == 0
    assert "by day" not in spending_metadata(lake, rows)
