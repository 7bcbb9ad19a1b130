"""The quality rules: one file of thresholds and weights, and the manual decisions beside it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from assets.quality.decisions import Decisions, load_decisions
from assets.quality.judge import JUDGE_ROLE
from assets.quality.schema import SIGNALS
from resources.configuration import Configuration, RelativePath, load_configuration, shipped_or_path
from resources.identity import stable_hash

CONFIGURATIONS = Path(__file__).parent / "configurations"


class JudgeRules(Configuration):
    """How the judge is asked."""

    ask_all: bool = Field(
        default=False,
        description="Also ask about dialogues that fail a rule already; then the procedural-error rate is that of all.",
    )
    jury: tuple[str, ...] = Field(
        default=(JUDGE_ROLE,), min_length=1, description="The roles of the profile that judge, each by itself."
    )
    rule: Literal["majority", "unanimous"] = Field(
        default="majority",
        description="Of several judges: a fault counts if at least half find it, or (`unanimous`) if one does.",
    )
    regenerations: int = Field(
        default=2, ge=0, le=10, description="How often the judge is asked again after an invalid verdict."
    )
    minimum_coverage: float = Field(
        default=0.9, ge=0, le=1, description="Share of the asked that must be judged, else the partition's gate fails."
    )
    tolerated: int = Field(
        default=2, ge=0, description="So many without a verdict never fail a gate; they are rejected one by one."
    )


class OverlapLimits(Configuration):
    """Smallest share of the reference's content words in a closing answer whose result cannot be compared."""

    math: float = Field(ge=0, le=1, description="For seeds of the domain `math`.")
    code: float = Field(ge=0, le=1, description="For seeds of the domain `code`.")
    general: float = Field(ge=0, le=1, description="For seeds of the domain `general`.")


class SignalLimits(Configuration):
    """Where a signal becomes a reason to reject."""

    reference_overlap: OverlapLimits = Field(description="Applies where the final answer is unknown.")
    copied_share: float = Field(
        ge=0, le=1, description="Largest share of copied words in a turn that is to be in its speaker's own words."
    )
    repetition: float = Field(ge=0, le=1, description="Largest share of repeated word 6-grams in an utterance.")
    minimum_words: int = Field(ge=0, description="Fewest words of all gpt turns.")
    maximum_words: int = Field(ge=1, description="Most words of all gpt turns.")
    full_words: int = Field(ge=1, description="From so many words on the length weighs in full.")
    near_duplicate: float = Field(
        gt=0, le=1, description="Similarity of word trigrams from which on two dialogues of a partition are one."
    )
    score: float = Field(ge=0, le=1, description="Smallest quality score.")


class Weights(Configuration):
    """Weight of each component of the quality score; one that does not apply to a dialogue is left out of its mean."""

    final_answer: float = Field(ge=0, description="Right 1, unknown one half, wrong or missing 0.")
    judge: float = Field(ge=0, description="Correct 1, else 0; left out without a verdict.")
    reference_overlap: float = Field(ge=0, description="The share itself.")
    kept_result: float = Field(ge=0, description="No teacher stated the result; left out where unknown.")
    true_claim: float = Field(ge=0, description="The teacher's claim about the answer is true; left out where unknown.")
    code_parses: float = Field(ge=0, description="Python blocks parse; left out where there are none.")
    own_words: float = Field(ge=0, description="1 less the copied share.")
    variety: float = Field(ge=0, description="1 less the repetition.")
    length: float = Field(ge=0, description="Words of the gpt turns over `full_words`, at most 1.")

    @model_validator(mode="after")
    def _something_always_weighs(self) -> Self:
        if not self.final_answer + self.reference_overlap + self.own_words + self.variety + self.length > 0:
            raise ValueError("one of final_answer, reference_overlap, own_words, variety, length must weigh something")
        return self


class CalibrationRules(Configuration):
    """How the judge's error rate is measured."""

    dialogues: int = Field(
        default=60,
        ge=1,
        description="Accepted dialogues that faults are planted into, evenly over scenarios and domains. The judge is "
        "asked about each of them and about each planted fault, at most nine times.",
    )


class ReviewRules(Configuration):
    """What people are asked to review."""

    dialogues: int = Field(
        default=60, ge=1, description="Judged dialogues to review, evenly over scenarios and domains."
    )
    minimum_kappa: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="`judge_agreement` fails where the lower end of the interval of Cohen's kappa is below it.",
    )


class QualityRules(Configuration):
    """What makes a dialogue good enough for BOOST-QA."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="Name of these rules.")
    decisions: RelativePath | None = Field(
        default=None, description="CSV or YAML of manual decisions; relative to the rules' own file."
    )
    judge: JudgeRules = JudgeRules()
    limits: SignalLimits
    weights: Weights
    calibration: CalibrationRules = CalibrationRules()
    review: ReviewRules = ReviewRules()

    @property
    def identity(self) -> str:
        """Hash of everything that can change a decision: rules, manual decisions, versions of signal plug-ins."""
        return self.identity_with(load_decisions(self.decisions))

    def identity_with(self, decided: Decisions) -> str:
        """`identity` where the manual decisions are read already: what is used and what is hashed are the same."""
        return stable_hash(
            "quality_rules",
            self.model_dump(mode="json", exclude={"decisions", "name", "calibration", "review"}),
            [decided[key].model_dump(mode="json") for key in sorted(decided)],
            *([SIGNALS.versions] if SIGNALS.versions else []),
        )


def load_quality_rules(name_or_path: str) -> QualityRules:
    """The shipped rules of that name (`standard`), or those in that file, their manual decisions read and checked.

    Raises:
        ConfigurationError: the rules or the decisions cannot be used; every fault is named.
    """
    rules = load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), QualityRules)
    load_decisions(rules.decisions)
    return rules
