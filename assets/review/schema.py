"""What people review, and how they agree with the judge."""

import pandera.polars as pa

from assets.dialogues.schema import count, one_of
from assets.seeds.schema import DOMAINS, text
from resources.lake.tables import Table

REVIEW_SAMPLE = Table(
    name="review_sample",
    keys=(),
    schema=pa.DataFrameSchema(
        {
            "dialogue_id": text("The dialogue."),
            "verdict": text("Empty: accept or reject, by whoever reviews it."),
            "why": text("Empty: the reason of whoever reviews it."),
            "scenario": text("Scenario of the dialogue."),
            "domain": one_of(DOMAINS, "math, code or general."),
            "task": text("Each question with its reference answer."),
            "dialogue": text("What was said, each turn below its speaker."),
        },
        description="Dialogues for people to review, without anything that rules or judge say.",
    ),
)  # for the UI; the files are sample.csv and review.html

JUDGE_AGREEMENT = Table(
    name="judge_agreement",
    keys=(),
    schema=pa.DataFrameSchema(
        {
            "people": one_of(["accept", "reject"], "The manual decision."),
            "judge": one_of(["accept", "reject"], "Whether the judge found no fault."),
            "dialogues": count("How many dialogues."),
        },
        description="Dialogues that people decided and the judge judged.",
    ),
)  # for the UI, where the asset shows it
