"""What `judge_calibration` makes."""

import pandera.polars as pa

from assets.dialogues.schema import one_of
from assets.judge_calibration.faults import KINDS, NONE
from assets.quality.schema import flag
from assets.seeds.schema import DOMAINS, text
from resources.lake.tables import Table

JUDGE_CALIBRATION = Table(
    name="judge_calibration",
    keys=("judge",),
    schema=pa.DataFrameSchema(
        {
            "judge": text("Hash of what the judge is: models, sampling, prompt and rubric."),
            "item_id": text("Hash of the dialogue as the judge read it; items are in this order."),
            "dialogue_id": text("The accepted dialogue that the item was made from."),
            "scenario": text("Scenario of the dialogue."),
            "domain": one_of(DOMAINS, "math, code or general."),
            "kind": one_of([NONE, *KINDS], "The planted fault; `none`: the dialogue as it was accepted."),
            "rejected": flag(
                "The judge found a fault: caught where one was planted, else a false alarm; null: no valid verdict.",
                nullable=True,
            ),
            "rejected_by_rules": flag("A rule proves a fault, so that outside a calibration no judge is asked."),
            "finding": text("What the judge said; without a verdict, why there is none.", nullable=True),
        },
        strict=True,
        unique=["item_id"],
        description="One item per planted fault and per untouched dialogue that a judge was asked about.",
    ),
)
