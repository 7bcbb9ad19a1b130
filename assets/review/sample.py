"""The blind sample for people: a CSV file, and one HTML file to review it in.

review_sample/<id>/    review.html, sample.csv, manifest.json
review_sample/latest.json
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from assets.dialogue_browser.page import inlined
from assets.framework.publication import Manifest, Publication
from assets.framework.scenarios.scenario import Scenarios, titled
from assets.judge_calibration.sampling import current_partitions, evenly, read_sample, read_scores
from assets.quality.configuration import ReviewRules
from assets.quality.inputs import DialogueInput
from assets.quality.partition_status import Expected
from assets.review.schema import REVIEW_SAMPLE
from resources.identity import draw, stable_hash
from resources.lake.tables import Lake

FORMAT = 1
STRATA = ("scenario", "domain")
PAGE = Path(__file__).parent / "page"


class ReviewError(RuntimeError):
    """There is nothing to review, or people and judge agree too little. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Review:
    """A published sample."""

    folder: str  # relative to the lake's root
    manifest: Manifest


REVIEWS = Publication(REVIEW_SAMPLE.name, "review sample", FORMAT, lambda lake, folder, found: Review(folder, found))


def make_review(lake: Lake, expected: Expected, scenarios: Scenarios, rules: ReviewRules) -> Review:
    """Publish the sample of the present dialogues; the same dialogues give the same sample.

    Raises:
        ReviewError: no dialogue was judged.
        Overtaken: another run published another sample meanwhile.
    """
    run = REVIEWS.begin(lake)
    columns = ["dialogue_id", "shard", *STRATA, "status", "judge_status"]
    scores = read_scores(lake, current_partitions(lake, expected), columns)
    judged = scores.filter((pl.col("status") == "complete") & pl.col("judge_status").is_in(["judged", "rules_alone"]))
    sample = evenly(judged, STRATA, rules.dialogues, REVIEW_SAMPLE.name)
    if sample.is_empty():
        raise ReviewError(
            "there is no judged dialogue in a current partition to review; materialise scenario_dialogues and "
            "scored_dialogues first"
        )
    dialogues = read_sample(lake, scenarios, sample)
    shuffled = sorted(dialogues, key=lambda dialogue: draw("review", dialogue.dialogue_id))
    rows = [review_row(dialogue) for dialogue in shuffled]
    identity = stable_hash(FORMAT, rows, _page())[:16]
    with run.temporary_folder() as staged:
        (staged / "review.html").write_bytes(review_page(identity, shuffled))
        REVIEW_SAMPLE.frame(rows).write_csv(staged / "sample.csv")
        return run.publish(staged, identity, {"dialogues": len(rows)})


def review_row(dialogue: DialogueInput) -> dict[str, Any]:
    """A row of `REVIEW_SAMPLE`. Every cell with a model's text begins with a heading, so that it is no formula."""
    task = [
        f"Question:\n{question.in_full}\n\nReference answer:\n{question.shown_reference}"
        for question in dialogue.questions
    ]
    return {
        "dialogue_id": dialogue.dialogue_id,
        "verdict": "",
        "why": "",
        "scenario": dialogue.scenario.name,
        "domain": dialogue.domain,
        "task": "\n\n".join(task),
        "dialogue": "\n\n".join(f"{titled(turn.speaker)}:\n{turn.text}" for turn in dialogue.turns),
    }


def review_page(identity: str, dialogues: list[DialogueInput]) -> bytes:
    """The HTML file, with the dialogues as JSON that is never executed."""
    content = {
        "sample": identity,
        "dialogues": [
            {
                "id": dialogue.dialogue_id,
                "scenario": dialogue.scenario.title,
                "tasks": [[question.in_full, question.shown_reference] for question in dialogue.questions],
                "turns": [[titled(turn.speaker), turn.side, turn.text] for turn in dialogue.turns],
            }
            for dialogue in dialogues
        ],
    }
    data = json.dumps(content, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return _page().replace("{{data}}", data, 1).encode()


@cache
def _page() -> str:
    return inlined(PAGE / "review.html", PAGE / "review.js")
