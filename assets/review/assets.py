"""The assets `review_sample` and `judge_agreement`: what people review, and how far the judge agrees with them."""

from typing import Any

from dagster import AllPartitionMapping, AssetDep, Failure, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.framework.partition_run import PartitionError
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.framework.ui_metadata import column_schema, stored_at, table_markdown
from assets.judge_calibration.summary import interval_text
from assets.quality.configuration import QualityRules
from assets.quality.decisions import load_decisions
from assets.quality.partition_status import expected_fingerprints
from assets.review.agreement import Agreement, read_agreement
from assets.review.sample import ReviewError, make_review
from assets.review.schema import JUDGE_AGREEMENT, REVIEW_SAMPLE
from resources.chat.service import ChatService
from resources.configuration import ConfigurationError
from resources.lake.store import StoreError
from resources.lake.tables import Lake

SCORES = AssetDep("scored_dialogues", partition_mapping=AllPartitionMapping())


@asset(
    name=REVIEW_SAMPLE.name,
    deps=[SCORES],
    group_name="dialogues",
    kinds={"html", "javascript"},
    code_version="1",
    metadata=column_schema(REVIEW_SAMPLE),
    description="Judged dialogues for people to accept or reject, without what rules and judge say: a CSV file, and "
    "one HTML file that works from a disk and exports the manual decisions of the quality rules.",
)
def review_sample(
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    scenarios: ResourceParam[Scenarios],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
) -> MaterializeResult[Any]:
    """Publish the sample of the present dialogues, unless it is published already."""
    try:
        expected = expected_fingerprints(chat.profile, scenarios, prompts, quality_rules)
        review = make_review(lake, expected, scenarios, quality_rules.review)
    except (ReviewError, PartitionError, StoreError, ConfigurationError) as error:
        raise Failure(str(error), allow_retries=False) from None
    return MaterializeResult(
        metadata={
            "page": stored_at(lake.store, f"{review.folder}/review.html"),
            "table": MetadataValue.text(f"{review.folder}/sample.csv"),
            "dagster/row_count": MetadataValue.int(review.manifest["dialogues"]),
        }
    )


@asset(
    name=JUDGE_AGREEMENT.name,
    deps=[SCORES, REVIEW_SAMPLE.name],
    group_name="dialogues",
    kinds={"polars"},
    code_version="1",
    metadata=column_schema(JUDGE_AGREEMENT),
    description="How far the judge agrees with the manual decisions: Cohen's kappa, false passes and false alarms, "
    "with intervals. It may fail below a least kappa of the quality rules.",
)
def judge_agreement(
    lake: ResourceParam[Lake],
    chat: ResourceParam[ChatService],
    scenarios: ResourceParam[Scenarios],
    prompts: ResourceParam[PromptBook],
    quality_rules: ResourceParam[QualityRules],
) -> MaterializeResult[Any]:
    """Compare the judge with people."""
    try:
        expected = expected_fingerprints(chat.profile, scenarios, prompts, quality_rules)
        found = read_agreement(lake, expected, load_decisions(quality_rules.decisions))
    except (ReviewError, StoreError, ConfigurationError) as error:
        raise Failure(str(error), allow_retries=False) from None
    least, kappa = quality_rules.review.minimum_kappa, found.kappa
    if least is not None and (kappa is None or kappa.low < least):
        raise Failure(
            f"Cohen's kappa of judge and people is {kappa_text(found)}, and the quality rules require a lower end of "
            f"at least {least:.2f}; use a stronger judge, or review more dialogues",
            allow_retries=False,
        )
    return MaterializeResult(metadata=agreement_metadata(found))


def agreement_metadata(found: Agreement) -> dict[str, Any]:
    """What the UI shows of the agreement."""
    names = [("accept", "accept"), ("reject", "reject"), ("reject", "accept"), ("accept", "reject")]
    rows = [
        {"people": people, "judge": judge, "dialogues": number}
        for (people, judge), number in zip(names, found.counts, strict=True)
    ]
    return {
        "Cohen's kappa": kappa_text(found),
        "false passes": interval_text(found.false_pass),
        "false alarms": interval_text(found.false_alarm),
        "dialogues": table_markdown(rows),
    }


def kappa_text(found: Agreement) -> str:
    """Cohen's kappa with its interval: `0.61 (0.32 to 0.85)`."""
    kappa = found.kappa
    return "not defined" if kappa is None else f"{kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})"
