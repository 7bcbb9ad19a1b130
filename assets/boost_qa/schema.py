"""The rows of a BOOST-QA release (ShareGPT form) and of the training sets, with their lineage."""

import pandera.polars as pa
import polars as pl

from assets.dialogue_plans.schema import SPLIT_NAMES
from assets.seeds.schema import DOMAINS, text
from resources.lake.tables import Table

CONVERSATION = pl.List(pl.Struct({"from": pl.String, "value": pl.String}))
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))

SOURCE = {
    "source": text("Source of the seed."),
    "domain": pa.Column(pl.String, pa.Check.isin(DOMAINS), description="math, code or general."),
    "split": pa.Column(pl.String, pa.Check.isin(SPLIT_NAMES), description="train, validation or test."),
    "seed_id": text("The seed of the dialogue."),
}
PARTNER = {
    "partner_seed_id": text(
        "The similar question, where the scenario has one; in JSONL empty elsewhere.", nullable=True
    )
}
LICENCE = {"licence": text("Licence of the source.")}

RELEASE_ROW = pa.DataFrameSchema(
    {
        "id": text("dialogue_id of the dialogue (of an original pair: its seed_id)."),
        "conversations": pa.Column(CONVERSATION, description="Strictly alternating human and gpt, human first."),
        "system": text("System prompt of the seed; empty where there is none."),
        "trains": pa.Column(pl.List(pl.Boolean), description="For each turn, whether training on it computes loss."),
        "scenario": text("The scenario; original; or the training set that made the row."),
        **SOURCE,
        **PARTNER,
        **LICENCE,
        "quality_score": pa.Column(
            pl.Float64,
            pa.Check.in_range(0, 1),
            nullable=True,
            description="0 to 1; null for an original pair, in JSONL -1.",
        ),
    },
    strict=True,
    unique=["id"],
    description="One conversation to train on.",
)


def _messages(description: str) -> pa.Column:
    return pa.Column(MESSAGES, description=description)


PROMPT = {
    "prompt": _messages("The system prompt of the seed, where there is one, and the question, as messages."),
}

PREFERENCE_ROW = pa.DataFrameSchema(
    {
        "id": text("Hash of the dialogue and of the two turns."),
        **PROMPT,
        "chosen": _messages("The right answer, one assistant message."),
        "rejected": _messages("The wrong answer, one assistant message."),
        "chosen_role": text("The profile's role that gave the right answer."),
        "rejected_role": text("The profile's role that gave the wrong answer."),
        "dialogue_id": text("The dialogue of both."),
        "scenario": text("Its scenario."),
        **SOURCE,
        **PARTNER,
        **LICENCE,
    },
    strict=True,
    unique=["id"],
    description="A right and a wrong answer to one question, for preference tuning.",
)

LABELLED_ROW = pa.DataFrameSchema(
    {
        "id": text("Hash of the dialogue and of the turn."),
        **PROMPT,
        "completion": _messages("The answer, one assistant message."),
        "label": pa.Column(pl.Boolean, description="Whether the answer is good."),
        "dialogue_id": text("The dialogue of the answer."),
        "scenario": text("Its scenario."),
        **SOURCE,
        **PARTNER,
        **LICENCE,
    },
    strict=True,
    unique=["id"],
    description="An answer with a label, for KTO.",
)

CHECKERS = ("math", "label", "code")

VERIFIABLE_ROW = pa.DataFrameSchema(
    {
        "id": text("seed_id."),
        **PROMPT,
        "reference_final": text("The result that an answer is compared with, or the tests that code has to pass."),
        "checker": pa.Column(pl.String, pa.Check.isin(CHECKERS), description="How an answer is compared with it."),
        "scenario": text("original: no dialogue is needed."),
        **SOURCE,
        **LICENCE,
        "data_source": text("Source of the seed, where verl looks for it."),
        "reward_model": pa.Column(
            pl.Struct({"style": pl.String, "ground_truth": pl.String}),
            description="`rule` and `reference_final`, where verl looks for them.",
        ),
        "extra_info": pa.Column(
            pl.Struct({"index": pl.String, "checker": pl.String}),
            description="`id` and `checker`, where verl looks for them.",
        ),
    },
    strict=True,
    unique=["id"],
    description="A question whose answer a rule can check, for reinforcement learning.",
)

RELEASED = Table(name="boost_qa", keys=(), schema=RELEASE_ROW)  # for the UI; the files are those of a release

DECISIONS = ("rejected", "set_aside", "retracted", "near_duplicate", "contaminated", "untrained")

REMOVED = pa.DataFrameSchema(
    {
        "dialogue_id": text("The dialogue that is not in the release."),
        "seed_id": text("Its seed."),
        "partner_seed_id": text("The similar question, where the scenario has one.", nullable=True),
        "scenario": text("The scenario."),
        "source": text("Source of the seed."),
        "split": pa.Column(pl.String, pa.Check.isin(SPLIT_NAMES), description="The split of the seed."),
        "decision": pa.Column(
            pl.String,
            pa.Check.isin(DECISIONS),
            description="rejected by the quality rules, set_aside while it was made, retracted seed, near_duplicate of "
            "a dialogue in an earlier split, contaminated by a benchmark, untrained because no turn carries loss.",
        ),
        "reason": text("Short code: the rules that it fails, why it was set aside, or the benchmark's name."),
        "detail": text("The reason in words.", nullable=True),
        "accepted": pa.Column(pl.Boolean, description="Whether the quality rules accepted it."),
    },
    strict=True,
    unique=["dialogue_id"],
    description="Every scored dialogue of the release's partitions that is not in it, with the reason.",
)
