"""A lake with scored answers that a test makes up, over the tiny lake's release."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from assets.boost_qa.release import Release
from assets.checkpoints.checkpoint import CHECKPOINTS
from assets.evaluation.schema import BENCHMARK_ANSWERS, BENCHMARK_SCORES
from assets.evaluation.scores import score_answers
from assets.report.making import Report, make_report
from assets.training_sets.variants import TRAINING_SETS, make_boost_qa, make_ori
from resources.identity import draw, stable_hash
from resources.lake.records import Gate
from resources.lake.tables import Lake
from tests.shipped_scenarios import SCENARIOS
from tests.tiny_lake import TinyLake, eight_seeds

BASE = "smollm2-135m"
CLUSTERS = {  # how many sources the questions of a benchmark share; of the others each has its own
    "MATH": 7,
    "MMLU": 30,
}
COLUMNS = ("MATH", "MMLU-Pro-math", "MBPP", "HumanEval", "MMLU", "ARC", "SciQ")
SHARES = {"untuned": 0.3, "ori": 0.4, "boost_qa": 0.55, "random_aug": 0.35, "tagcos": 0.42, "me_db": 0.45, "ep": 0.38}


@dataclass
class Marks:
    """Makes up answers to benchmarks and writes them as scored partitions."""

    tiny: TinyLake
    release: Release
    asked: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    titles: dict[str, dict[str, Any]] = field(default_factory=dict)  # by benchmark: title and the paper's column

    @property
    def lake(self) -> Lake:
        """Where everything is."""
        return self.tiny.lake

    def answer(
        self,
        variant: str,
        benchmark: str,
        right: Sequence[bool],
        *,
        base: str = BASE,
        column: str | None = None,
        title: str | None = None,
        stage: str = "plain",
        sample: int = 0,
        kind: str = "multiple_choice",
        clusters: Sequence[str] | None = None,
        tokens: Sequence[int] | None = None,
        **values: Any,
    ) -> None:
        """Answers to questions 0, 1, … of a benchmark, right or wrong as given."""
        self.titles[benchmark] = {"title": title or benchmark, "paper_column": column}
        rows = self.asked.setdefault((base, variant), [])
        for number, one in enumerate(right):
            answered = {"base": base, "variant": variant, "benchmark": benchmark, "kind": kind, "model": base}
            answered |= {"item_id": f"q{number:04d}", "cluster": clusters[number] if clusters else f"q{number:04d}"}
            answered |= {"stage": stage, "sample": sample, "prompt_hash": stable_hash(benchmark, number)}
            answered |= {"prompt": f"[user]\nQuestion {number} of {benchmark}?", "reference": "A", "labels": ["A", "B"]}
            answered |= {"output": f"{variant} says [{'A' if one else 'B'}]", "extracted": "A" if one else "B"}
            answered |= {"verdict": "right" if one else "wrong", "reason": None if one else "other_option"}
            answered |= {"decided_by": "label", "finish_reason": "stop", "prompt_tokens": 40}
            answered["completion_tokens"] = tokens[number] if tokens else 20 + 10 * (number % 30)
            rows.append({**answered, **values})

    def write(self, gate: Gate = "passed", release: str | None = None) -> None:
        """Write every partition, each with its checkpoint."""
        for (base, variant), rows in self.asked.items():
            keys, checkpoint = {"base": base, "variant": variant}, self._checkpoint(base, variant, release)
            answers = BENCHMARK_ANSWERS.frame(rows)
            settings = {"unparsed": 0, "temperature": 0.2, "shots": 0, "max_tokens": 512, "checkpoint": checkpoint}
            scores = BENCHMARK_SCORES.frame(
                score | settings | self.titles[score["benchmark"]] for score in score_answers(answers)
            )
            facts = {"benchmarks": "made up", "profile": "laptop", "checkpoint": checkpoint, "usage": {}}
            facts["unparsed"] = [{"benchmark": "sums", "file": "sums.jsonl", "row": 3, "reason": "has no question"}]
            fingerprint = stable_hash(base, variant, rows)
            for table, frame in ((BENCHMARK_ANSWERS, answers), (BENCHMARK_SCORES, scores)):
                self.lake.write(table, keys, frame, fingerprint=fingerprint, gate=gate, facts=facts)

    def _checkpoint(self, base: str, variant: str, release: str | None) -> str:
        run = CHECKPOINTS.begin(self.lake, base, variant)
        identity = stable_hash(base, variant, release)[:16]
        manifest: dict[str, Any] = {}
        if variant != "untuned":
            known = variant if variant in ("ori", "boost_qa") else "ori"
            made = TRAINING_SETS.latest(self.lake, known)
            manifest["training_set"] = {"id": made.id, "release": release or made.manifest["release"]}
        with run.temporary_folder() as empty:
            return run.publish(empty, identity, manifest).id

    def report(self) -> Report:
        """Write everything and report on it."""
        self.write()
        return make_report(self.lake, SCENARIOS, [BASE])

    def page(self, report: Report) -> str:
        """Its HTML."""
        return self.lake.store.get(f"{report.folder}/report.html").decode()


def drawn(share: float, questions: int, *names: str) -> list[bool]:
    """So many answers, each right with that chance; the same ones for the same names."""
    return [draw(*names, number) < share for number in range(questions)]


def begin(tiny: TinyLake) -> Marks:
    """Nothing is scored yet; the tiny lake is released, and the sets `boost_qa` and `ori` are there."""
    release = tiny.release()
    make_boost_qa(tiny.lake, release)
    make_ori(tiny.lake, release)
    return Marks(tiny, release)


@pytest.fixture
def marks(tiny_lake: TinyLake) -> Marks:
    """Nothing is scored yet, on a lake of this test's own."""
    return begin(tiny_lake)


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Marks, Report]:
    """Every kind of variant of a model of the paper, on its benchmarks, the small model on another, and the report.

    Read only: what a test changes is to be its own copy (`whole`).
    """
    made = begin(eight_seeds(str(tmp_path_factory.mktemp("reported") / "lake")))
    for variant, share in SHARES.items():
        for column in COLUMNS:
            name = column.lower().replace("-", "_")
            right = drawn(share, 120, variant if variant == "boost_qa" else "the others", column)
            kind = "code" if column in ("MBPP", "HumanEval") else "multiple_choice"
            clusters = [f"source {number % CLUSTERS[column]}" for number in range(120)] if column in CLUSTERS else None
            made.answer(
                variant, name, right, base="llama-3-8b", column=column, title=column, kind=kind, clusters=clusters
            )
    for variant in ("untuned", "ori", "boost_qa"):
        for stage, share in (("plain", 0.4), ("exchange", 0.5)):
            right = drawn(share, 15, variant, stage)
            made.answer(variant, "small_choice", right, stage=stage, title="Small multiple choice")
    return made, made.report()


@pytest.fixture
def whole(reported: tuple[Marks, Report], tmp_path: Path) -> Marks:
    """A copy of it."""
    made, _ = reported
    folder = made.lake.store.local_path("")
    assert folder is not None
    shutil.copytree(folder, tmp_path / "copy")
    return replace(
        made,
        tiny=TinyLake(Lake.at(str(tmp_path / "copy")), made.tiny.dialogues),
        asked={key: list(rows) for key, rows in made.asked.items()},
        titles=dict(made.titles),
    )


@pytest.fixture(scope="session")
def whole_page(reported: tuple[Marks, Report]) -> str:
    """Its page."""
    made, report = reported
    return made.page(report)
