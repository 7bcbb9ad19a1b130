import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from assets.dialogues.inputs import InputsError, PartitionInputs
from assets.dialogues.task import DialogueTask
from assets.dialogues.teaching import TRANSIENT_REASONS, Progress, Row, gate, teach_partitions
from assets.dialogues.turn_loop import TurnLoop
from assets.framework.partitions import Scenario
from resources.chat.calls import BudgetSpent, Call, CallFailed, EndpointUnusable
from resources.lake.tables import TableError

MakeRoom = Callable[..., TurnLoop]


class Shelf:
    """Partitions to be taught, and what was handed over, in order."""

    def __init__(self, inputs_of: Sequence[PartitionInputs]) -> None:
        self.inputs_of = {inputs.key: inputs for inputs in inputs_of}
        self.written: dict[str, list[Row]] = {}

    def read(self, key: str) -> PartitionInputs:
        if key not in self.inputs_of:
            raise InputsError(f"{key}: there is no such shard")
        return self.inputs_of[key]

    def write(self, inputs: PartitionInputs, rows: list[Row]) -> None:
        self.written[inputs.key] = rows


def taught(shelf: Shelf, room: TurnLoop, keys: Sequence[str] | None = None) -> Progress:
    progress = Progress(list(keys or shelf.inputs_of))
    asyncio.run(run(shelf, room, progress))
    return progress


class Free:
    """A claim on a partition, in memory."""

    def release(self) -> None:
        pass


async def run(
    shelf: Shelf,
    room: TurnLoop,
    progress: Progress,
    show: Callable[[Progress], None] | None = None,
    claim: Callable[[str], Any] = lambda _: Free(),
) -> None:
    await teach_partitions(
        progress,
        read=shelf.read,
        room=room,
        scope=lambda key: f"scope {key}",
        written=shelf.write,
        show=show or (lambda _: None),
        claim=claim,
    )


@pytest.fixture
def inputs(make_task: Callable[..., DialogueTask]) -> Callable[..., PartitionInputs]:
    """Makes a partition of error corrections: `inputs(shard, how many)`."""

    def make(shard: str, count: int, **changes: Any) -> PartitionInputs:
        tasks = tuple(
            make_task(Scenario.ERROR_CORRECTION, number, dialogue_id=f"{shard}.{number}", shard=shard)
            for number in range(count)
        )
        values: dict[str, Any] = {"current": False, "tasks": tasks, "held": {}} | changes
        return PartitionInputs(f"error_correction|{shard}", Scenario.ERROR_CORRECTION, shard, "f", "m", **values)

    return make


def test_each_partition_is_handed_over_with_all_its_dialogues_in_order(
    inputs: Any, scripted_chat: Any, make_room: MakeRoom
) -> None:
    shelf = Shelf([inputs("a", 3), inputs("b", 5)])
    taught(shelf, make_room(scripted_chat()))
    assert {key: [row["dialogue_id"] for row in rows] for key, rows in shelf.written.items()} == {
        "error_correction|a": ["a.0", "a.1", "a.2"],
        "error_correction|b": ["b.0", "b.1", "b.2", "b.3", "b.4"],
    }


def test_calls_go_on_their_partitions_scope(inputs: Any, scripted_chat: Any, make_room: MakeRoom) -> None:
    chat = scripted_chat()
    taught(Shelf([inputs("a", 1)]), make_room(chat))
    assert {scope for scope, _ in chat.calls} == {"scope error_correction|a"}


def test_as_many_dialogues_are_open_as_the_chat_has_appetite_for(
    inputs: Any, scripted_chat: Any, make_room: MakeRoom
) -> None:
    chat = scripted_chat(target_concurrency=6, company=6)
    taught(Shelf([inputs("a", 20)]), make_room(chat))
    assert chat.most_open == 6


def test_a_partitions_tail_leaves_no_slot_idle(inputs: Any, scripted_chat: Any, make_room: MakeRoom) -> None:
    chat = scripted_chat(target_concurrency=6, company=6)
    taught(Shelf([inputs(name, 2) for name in "abcdef"]), make_room(chat))
    assert chat.most_open == 6


def test_a_partition_without_tasks_is_written_empty(inputs: Any, scripted_chat: Any, make_room: MakeRoom) -> None:
    shelf = Shelf([inputs("a", 0)])
    taught(shelf, make_room(scripted_chat()))
    assert shelf.written == {"error_correction|a": []}


def test_a_current_partition_is_neither_taught_nor_written(
    inputs: Any, scripted_chat: Any, make_room: MakeRoom
) -> None:
    chat, shelf = scripted_chat(), Shelf([inputs("a", 2, current=True)])
    progress = taught(shelf, make_room(chat))
    assert (chat.calls, shelf.written, progress.failed) == ([], {}, {})


def test_rows_that_are_held_are_handed_over_without_a_call(
    inputs: Any, scripted_chat: Any, make_room: MakeRoom
) -> None:
    chat, kept = scripted_chat(), {"dialogue_id": "a.1", "status": "complete"}
    shelf = Shelf([inputs("a", 2, held={"a.1": kept})])
    taught(shelf, make_room(chat))
    assert shelf.written["error_correction|a"][1] is kept
    assert {call.sample for _, call in chat.calls} == {"a.0"}


def test_a_partition_that_cannot_be_read_does_not_keep_the_others_back(
    inputs: Any, scripted_chat: Any, make_room: MakeRoom
) -> None:
    shelf = Shelf([inputs("b", 2)])
    progress = taught(shelf, make_room(scripted_chat()), ["error_correction|a", "error_correction|b"])
    assert list(shelf.written) == ["error_correction|b"]
    assert progress.failed == {"error_correction|a": "error_correction|a: there is no such shard"}


def test_one_bad_dialogue_does_not_end_the_run(inputs: Any, scripted_chat: Any, make_room: MakeRoom) -> None:
    def rule(call: Call) -> str | Exception:
        return CallFailed("bad_request", "no") if call.sample == "a.1" else "I get seven. The answer is 7."

    shelf = Shelf([inputs("a", 3)])
    taught(shelf, make_room(scripted_chat(rule)))
    assert [row["status"] for row in shelf.written["error_correction|a"]] == ["complete", "set_aside", "complete"]


def test_a_fault_of_our_own_sets_one_dialogue_aside(inputs: Any, scripted_chat: Any, make_room: MakeRoom) -> None:
    def rule(call: Call) -> str | Exception:
        return ZeroDivisionError("oops") if call.sample == "a.0" else "I get seven. The answer is 7."

    shelf = Shelf([inputs("a", 2)])
    taught(shelf, make_room(scripted_chat(rule)))
    assert [row["status_reason"] for row in shelf.written["error_correction|a"]] == [
        "fault: ZeroDivisionError: oops",
        None,
    ]


@pytest.mark.parametrize("stop", [BudgetSpent, EndpointUnusable])
def test_what_stops_the_run_leaves_written_what_was_done(
    stop: type[Exception], inputs: Any, scripted_chat: Any, make_room: MakeRoom
) -> None:
    def rule(call: Call) -> str | Exception:
        return stop("100 tokens are spent") if call.sample.startswith("b") else "I get seven. The answer is 7."

    shelf = Shelf([inputs("a", 1), inputs("b", 2), inputs("c", 2)])
    with pytest.raises(stop) as caught:
        taught(shelf, make_room(scripted_chat(rule, target_concurrency=1)))
    assert list(shelf.written) == ["error_correction|a"]
    assert str(caught.value) == "100 tokens are spent"


def test_a_cancelled_run_still_writes_the_partition_that_is_done(
    inputs: Any, scripted_chat: Any, make_room: MakeRoom
) -> None:
    shelf = Shelf([inputs("a", 1), inputs("b", 50)])
    writing, may_write = threading.Event(), threading.Event()

    def write_slowly(inputs: PartitionInputs, rows: list[Row]) -> None:
        writing.set()
        may_write.wait(10)
        Shelf.write(shelf, inputs, rows)

    shelf.write = write_slowly  # type: ignore[method-assign]
    progress = Progress(list(shelf.inputs_of))

    async def cancel_while_writing() -> None:
        task = asyncio.create_task(run(shelf, make_room(scripted_chat(target_concurrency=1)), progress))
        await asyncio.to_thread(writing.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        may_write.set()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel_while_writing())
    assert list(shelf.written) == ["error_correction|a"]


def test_what_writing_raises_ends_the_run(inputs: Any, scripted_chat: Any, make_room: MakeRoom) -> None:
    shelf = Shelf([inputs("a", 1), inputs("b", 1)])

    def full(inputs: PartitionInputs, rows: list[Row]) -> None:
        raise OSError("disk full")

    shelf.write = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk full"):
        taught(shelf, make_room(scripted_chat(target_concurrency=1)))


def test_a_partition_that_cannot_be_written_does_not_end_the_run(
    inputs: Any, scripted_chat: Any, make_room: MakeRoom
) -> None:
    shelf = Shelf([inputs("a", 1), inputs("b", 1)])

    def write(inputs: PartitionInputs, rows: list[Row]) -> None:
        if inputs.shard == "a":
            raise TableError("a dialogue is there twice")
        Shelf.write(shelf, inputs, rows)

    shelf.write = write  # type: ignore[method-assign]
    progress = taught(shelf, make_room(scripted_chat(target_concurrency=1)))
    assert progress.failed == {"error_correction|a": "a dialogue is there twice"}
    assert list(shelf.written) == ["error_correction|b"]


def test_a_partition_that_another_run_is_teaching_comes_last_and_is_found_made(
    inputs: Any, scripted_chat: Any, make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.dialogues.teaching.LOOK_SECONDS", 0)
    shelf, chat = Shelf([inputs("a", 2), inputs("b", 2)]), scripted_chat()
    theirs = {"error_correction|a"}

    def write(inputs: PartitionInputs, rows: list[Row]) -> None:  # meanwhile the other run ends
        Shelf.write(shelf, inputs, rows)
        shelf.inputs_of["error_correction|a"] = replace(shelf.inputs_of["error_correction|a"], current=True)
        theirs.clear()

    shelf.write = write  # type: ignore[method-assign]
    progress = Progress(list(shelf.inputs_of))
    asyncio.run(run(shelf, make_room(chat), progress, claim=lambda key: None if key in theirs else Free()))
    assert list(shelf.written) == ["error_correction|b"]
    assert (progress.elsewhere, progress.failed) == ([], {})
    assert {call.sample for _, call in chat.calls} == {"b.0", "b.1"}


@pytest.mark.parametrize("fault", [None, BudgetSpent("spent")])
def test_every_claim_is_released(inputs: Any, scripted_chat: Any, make_room: MakeRoom, fault: Exception | None) -> None:
    held: set[str] = set()

    class Held(Free):
        def __init__(self, key: str) -> None:
            self.key = key
            held.add(key)

        def release(self) -> None:
            held.discard(self.key)

    shelf = Shelf([inputs("a", 1), inputs("b", 1, current=True), inputs("c", 0)])
    chat = scripted_chat((lambda call: fault) if fault else (lambda call: "I get seven. The answer is 7."))
    work = run(shelf, make_room(chat), Progress([*shelf.inputs_of, "error_correction|missing"]), claim=Held)
    with contextlib.suppress(BudgetSpent):
        asyncio.run(work)
    assert held == set()


def test_partitions_under_way_are_told_with_their_counts(inputs: Any, scripted_chat: Any, make_room: MakeRoom) -> None:
    shelf, seen = Shelf([inputs("a", 2)]), []
    progress = Progress(list(shelf.inputs_of))
    asyncio.run(run(shelf, make_room(scripted_chat()), progress, lambda now: seen.extend(now.parts())))
    assert [(part.name, part.done, part.total) for part in seen] == [
        ("error_correction|a", 1, 2),
        ("error_correction|a", 2, 2),
    ]
    assert progress.parts() == []


def test_progress_is_shown_after_each_dialogue(inputs: Any, scripted_chat: Any, make_room: MakeRoom) -> None:
    shelf, seen = Shelf([inputs("a", 2), inputs("b", 1)]), []
    progress = Progress(list(shelf.inputs_of))
    asyncio.run(run(shelf, make_room(scripted_chat()), progress, lambda now: seen.append(now.done)))
    assert seen == [1, 2, 3]


def rows(complete: int, set_aside: int, retracted: int = 0) -> list[Row]:
    return [
        *({"status": "complete", "status_reason": None} for _ in range(complete)),
        *({"status": "set_aside", "status_reason": "refusal: turn 2"} for _ in range(set_aside)),
        *({"status": "set_aside", "status_reason": "retracted: taken down"} for _ in range(retracted)),
    ]


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (rows(10, 10), "passed"),
        (rows(10, 11), "failed"),
        (rows(0, 4), "passed"),
        (rows(0, 5), "failed"),
        (rows(1, 0, retracted=50), "passed"),
        ([], "passed"),
    ],
)
def test_the_gate_fails_when_too_many_dialogues_are_set_aside(given: list[Row], verdict: str) -> None:
    assert gate(given, limit=0.5, minimum=5)[0] == verdict


@pytest.mark.parametrize(("complete", "verdict"), [(0, "failed"), (1, "passed")])
def test_an_endpoint_that_answered_nothing_fails_even_a_small_partition(complete: int, verdict: str) -> None:
    unanswered = [{"status": "set_aside", "status_reason": "bad_request: HTTP 400"}] * 2
    assert gate([*unanswered, *rows(complete, 0)], limit=0.5, minimum=5)[0] == verdict


@pytest.mark.parametrize("reason", sorted(TRANSIENT_REASONS))
def test_one_dialogue_that_another_hour_may_answer_keeps_a_partition_due(reason: str) -> None:
    unanswered = {"status": "set_aside", "status_reason": f"{reason}: turn 2, weak_student: no answer"}
    assert gate([unanswered, *rows(9, 0)], limit=0.5, minimum=5) == (
        "failed",
        f"1 of 10 dialogues got no answer this time: 1 {reason} "
        f"(the first: {reason}: turn 2, weak_student: no answer); the same command again asks only for those",
    )


@pytest.mark.parametrize(("poisoned", "verdict"), [(2, "passed"), (3, "failed")])
def test_a_poisoned_seed_keeps_no_large_partition_out_of_the_release(poisoned: int, verdict: str) -> None:
    unanswered = [{"status": "set_aside", "status_reason": "server_error: HTTP 500"}] * poisoned
    assert gate([*unanswered, *rows(100 - poisoned, 0)], limit=0.5, minimum=5)[0] == verdict


@pytest.mark.parametrize("reason", ["bad_request", "content_filter", "context_overflow", "cut_off", "told_result"])
def test_one_dialogue_that_will_never_be_had_keeps_no_partition_due(reason: str) -> None:
    refused = {"status": "set_aside", "status_reason": f"{reason}: turn 2, weak_student: no"}
    assert gate([refused, *rows(9, 0)], limit=0.5, minimum=5) == ("passed", "")


def test_a_failed_gate_says_why() -> None:
    assert gate(rows(1, 9), limit=0.5, minimum=5)[1] == (
        "9 of 10 dialogues were set aside (allowed: 50%): 9 refusal (the first: refusal: turn 2)"
    )
