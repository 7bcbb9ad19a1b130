"""Several processes: each node prepares for itself, and all train as one. Two torchruns stand for two nodes."""

import signal
from pathlib import Path

import pytest

from assets.training_programs.fine_tuning.base_models import Weights
from assets.training_programs.fine_tuning.errors import BAD_INPUT, CRASHED, NodeFailed
from assets.training_programs.fine_tuning.nodes import Outcome, Prepared, own_of
from assets.training_programs.fine_tuning.task import Failure
from tests.trainer_nodes import Nodes
from tests.trainer_work import Workplace, sums
from tests.waiting import until


@pytest.fixture
def nodes(workplace: Workplace, tmp_path: Path) -> Nodes:
    return Nodes(workplace, tmp_path)


def test_two_nodes_train_the_same_effective_batch_as_one_process(workplace: Workplace, nodes: Nodes) -> None:
    alone = workplace.ask(sums(0, 16), sums(20, 3))
    workplace.run(alone)
    together = workplace.ask(sums(0, 16), sums(20, 3), nodes=2, batch_size=1)

    nodes.run(together)

    manifest = workplace.manifest(together)
    assert manifest["max_steps"] == workplace.manifest(alone)["max_steps"] == 8
    assert manifest["results"]["processes"] == 2
    assert workplace.losses(together) == pytest.approx(workplace.losses(alone), rel=1e-4)


def test_a_job_resumes_to_the_same_adapter_after_one_node_was_asked_to_end(workplace: Workplace, nodes: Nodes) -> None:
    specification = workplace.ask(sums(0, 60), nodes=2, batch_size=1, lora={"dropout": 0.1}, save_steps=4)
    started = nodes.start(specification)
    progress = f"{specification.folder}/progress"
    until(lambda: started[0].poll() is not None or workplace.store.exists(f"{progress}/checkpoint-4/manifest.json"))

    started[1].send_signal(signal.SIGTERM)
    assert nodes.wait(started) == [False, False]
    assert workplace.failure(specification)["retryable"]
    nodes.run(specification, attempt=2)

    resumed = workplace.adapter(specification)
    workplace.keep_only_the_specification(specification)
    nodes.run(specification)
    assert workplace.adapter(specification) == resumed


def test_a_node_that_cannot_prepare_ends_all_with_its_reason(
    workplace: Workplace, nodes: Nodes, tmp_path: Path
) -> None:
    home = Path(workplace.base.model)
    base = workplace.base.model_copy(update={"model": f"~/{home.name}"})
    specification = workplace.ask(sums(0, 12), base=base, nodes=2, batch_size=1)

    started = nodes.start(specification, environments=({"HOME": str(home.parent)}, {"HOME": str(tmp_path)}))

    assert nodes.wait(started) == [False, False]
    failure = workplace.failure(specification)
    assert failure["exit"] == BAD_INPUT
    assert failure["message"].startswith("node 1: the base model ~/")


def prepared(weights: str, resume: str | None = None, scratch: str = "") -> Prepared:
    return Prepared({}, Weights("", None, weights), scratch, resume, {})


@pytest.mark.parametrize(
    ("second", "message", "code", "retryable"),
    [
        (Failure(BAD_INPUT, "no such folder", False), "node 1: no such folder", BAD_INPUT, False),
        (prepared("commit b"), "node 0 has commit a and no checkpoint; node 1 has commit b", CRASHED, True),
        (prepared("commit a", "x/checkpoint-4"), "node 1 has commit a and checkpoint-4", CRASHED, True),
    ],
    ids=["failure", "weights", "checkpoint"],
)
def test_nodes_that_fail_or_differ_end_the_job(second: Outcome, message: str, code: int, retryable: bool) -> None:
    with pytest.raises(NodeFailed) as raised:
        own_of([(0, prepared("commit a")), (0, second)], rank=0)

    assert message in str(raised.value)
    assert (raised.value.exit, raised.value.retryable) == (code, retryable)


def test_each_process_gets_what_its_own_node_prepared() -> None:
    outcomes: list[tuple[int, Outcome]] = [
        (0, prepared("a", scratch="0")),
        (1, None),
        (0, prepared("a", scratch="1")),
        (1, None),
    ]

    found = [own_of(outcomes, rank) for rank in range(4)]

    assert [own.scratch for own in found if own] == ["0", "0", "1", "1"]


def test_a_job_that_is_done_is_done_for_every_process() -> None:
    outcomes: list[tuple[int, Outcome]] = [(0, prepared("a")), (1, None), (0, None), (1, None)]

    assert [own_of(outcomes, rank) for rank in range(4)] == [None] * 4
