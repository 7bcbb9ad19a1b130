"""Benchmarks whose questions and grading are those of a plug-in."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.configuration import BENCHMARK_KINDS, BenchmarkPlugin
from assets.evaluation.runs import fingerprint_of, model_under_test, read_all_questions
from assets.evaluation.schema import REASONS
from resources.configuration import ConfigurationError
from tests.assets.evaluation.conftest import BASE
from tests.fake_endpoint import FakeEndpoint
from tests.plugin_distribution import use


class Spelling(BenchmarkPlugin):
    """Words to spell."""

    kind: Literal["spelling"]
    words: tuple[str, ...]

    def read_questions(self) -> Iterator[BenchmarkQuestion]:
        for word in self.words:
            if not word:
                raise LookupError("an empty word")
            yield BenchmarkQuestion(f"Spell {word}.", "-".join(word))

    def grade(self, output: str, question: BenchmarkQuestion) -> bool | None:
        if not output.strip("-"):
            return None
        return {"c": True, "k": False}[output[0]] and output == question.reference


SPELLING: dict[str, Any] = {"name": "spell", "kind": "spelling", "words": ["cat"]}


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, BENCHMARK_KINDS, spelling=Spelling)


@pytest.mark.parametrize(
    ("said", "verdict", "reason"),
    [
        ("c-a-t", "right", None),
        ("k-a-t", "wrong", "plugin_wrong"),
        ("---", "unreadable", "plugin_unreadable"),
        ("x", "failed", "not_scored"),
    ],
)
def test_the_plug_in_grades_an_answer(
    board: Any, fake_endpoint: FakeEndpoint, said: str, verdict: str, reason: str | None
) -> None:
    board.benchmarks = [SPELLING]
    fake_endpoint.answer_with(lambda request: said)
    (answer,) = board.evaluate().answers.to_dicts()
    assert (answer["kind"], answer["item_id"], answer["verdict"], answer["reason"]) == (
        "spelling",
        "0",
        verdict,
        reason,
    )
    assert reason is None or reason in REASONS
    assert "Spell cat." in answer["prompt"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"words": ["cat", ""]}, "plug-in spelling of acme 1.0: LookupError: an empty word"),
        ({"words": []}, "it returned no question"),
        ({"shots": 1}, "a plug-in reads its own questions: leave out shots"),
        ({"kind": "singing"}, "there is no kind 'singing'"),
    ],
)
def test_questions_that_cannot_be_read_are_reported_before_anything_is_asked(
    board: Any, fake_endpoint: FakeEndpoint, changes: dict[str, Any], fault: str
) -> None:
    board.benchmarks = [{**SPELLING, **changes}]
    with pytest.raises((ConfigurationError, ValueError), match=fault):
        board.evaluate()
    assert fake_endpoint.requests == []


def test_another_version_of_the_plug_in_makes_scores_stale(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    board.benchmarks = [SPELLING]
    fingerprints = set()
    for version in ("1.0", "1.0", "1.1"):
        use(monkeypatch, BENCHMARK_KINDS, version, spelling=Spelling)
        evaluation = board.evaluation
        tested = model_under_test(evaluation.lake, evaluation.training, BASE, "untuned")
        fingerprints.add(fingerprint_of(evaluation, read_all_questions(evaluation), tested))
    assert len(fingerprints) == 2
