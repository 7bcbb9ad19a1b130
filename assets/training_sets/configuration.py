"""How the training sets that BOOST-QA is compared with are made, read from one YAML file."""

from pathlib import Path

from pydantic import Field

from assets.training_programs.gradients.specification import GradientModel
from resources.configuration import Configuration, RelativeAddress, load_configuration, shipped_or_path

CONFIGURATIONS = Path(__file__).parent / "configurations"


class NoiseRules(Configuration):
    """Character noise of random_aug and spelling_aug. The paper gives no strength; ours is nlpaug's default."""

    word_share: float = Field(default=0.3, gt=0, le=1, description="Share of a text's words that are changed.")
    most_words: int = Field(default=10, ge=1, description="But no more words of one text than this.")
    character_share: float = Field(default=0.3, gt=0, le=0.5, description="random_aug: share of a word's letters.")
    shortest_word: int = Field(default=4, ge=3, description="Words with fewer letters stay as they are.")
    seed: int = Field(default=0, description="Another one draws other noise.")


class ReasoningRules(Configuration):
    """The set `cot`: a chain-of-thought answer for each seed."""

    role: str = Field(default="strong_student", min_length=1, description="The profile's role that answers.")
    regenerations: int = Field(
        default=3, ge=0, le=20, description="How often the model is asked again after a refused answer."
    )

    @property
    def roles_needed(self) -> dict[str, str]:
        """See `ComparisonRules.roles_needed`."""
        return {self.role: "the training set cot (cot.role of the comparison rules)"}


class PoolRules(Configuration):
    """A pool of questions and answers beside the release's seeds."""

    pool: RelativeAddress | None = Field(
        default=None,
        description="A seeds configuration (as for MASTER_SEEDS) that says where the pool's rows are, relative to this "
        "file.",
    )
    whole_sources: bool = Field(
        default=False, description="Take the pool's sources as a whole: `sample` in that configuration is ignored."
    )


class CoresetRules(PoolRules):
    """The set `tagcos`: a coreset of a pool, by default of all training seeds, rejected ones included.

    Each source gives as many rows as the release trains on from it. The paper's pool is its three datasets as a whole.
    """

    clusters: int = Field(default=100, ge=1, description="Clusters of gradients (TAGCOS).")
    seed: int = Field(default=0, ge=0, description="Of warm-up, projection and clusters.")
    features: GradientModel = Field(default=GradientModel(), description="Whose gradients are compared.")


class ComparisonRules(Configuration):
    """All sets of comparison."""

    noise: NoiseRules = Field(default=NoiseRules(), description="random_aug and spelling_aug.")
    cot: ReasoningRules = Field(default=ReasoningRules(), description="cot.")
    cot_collection: PoolRules = Field(
        default=PoolRules(), description="cot_collection: the CoT Collection, for those who have it."
    )
    tagcos: CoresetRules = Field(default=CoresetRules(), description="tagcos.")

    @property
    def roles_needed(self) -> dict[str, str]:
        """The roles that a profile has to assign, each with what needs it, as `Profile.check_roles` takes them."""
        return self.cot.roles_needed


def load_comparison_rules(name_or_path: str = "standard") -> ComparisonRules:
    """The shipped rules of that name, or those in that file.

    Raises:
        ConfigurationError: see `load_configuration`.
    """
    return load_configuration(shipped_or_path(name_or_path, CONFIGURATIONS), ComparisonRules)
