"""The job of the gradients program: which model, which rows. `assets.training_sets.gradient_features` writes it.

<folder>/specification.json    this
<folder>/features.npy          rows × dimensions, float16, in the order of the rows; zeros where a row trains nothing
<folder>/manifest.json         written last
"""

from pydantic import Field

from assets.training_programs.specification import DataFile
from resources.configuration import Configuration

FORMAT = 1
FEATURES = "features.npy"


class GradientModel(Configuration):
    """The model whose gradients tell the pool's rows apart, and its warm-up (ours where not marked)."""

    model: str = Field(
        default="embedded", description="Hub id, local folder, `s3://` folder, or `embedded` for the SmolLM2."
    )
    revision: str | None = Field(default=None, description="Hub only: commit, tag or branch.")
    template: str = Field(default="chatml", description="Chat template family, as for a base model that is tuned.")
    max_tokens: int = Field(default=1024, ge=16, description="Longer conversations are left out.")
    warm_up_share: float = Field(default=0.05, gt=0, le=1, description="Share of the pool that the warm-up sees.")
    checkpoints: int = Field(
        default=3, ge=1, le=10, description="Epochs of the warm-up; gradients are taken after each (three: TAGCOS)."
    )
    learning_rate: float = Field(default=1e-4, gt=0, lt=1, description="Of the warm-up.")
    batch: int = Field(default=16, ge=1, description="Conversations in one step of the warm-up.")
    rank: int = Field(default=8, ge=1, le=1024, description="Rank of the warm-up's LoRA.")
    alpha: int = Field(default=16, ge=1, description="Its scale.")
    dimensions: int = Field(
        default=8192, ge=8, multiple_of=8, description="Of the random projection of a gradient (TAGCOS)."
    )


class GradientRows(Configuration):
    """The rows, in order: Parquet files of the form of `assets.boost_qa.schema.RELEASE_ROW`."""

    id: str
    rows: int = Field(ge=1)
    files: tuple[DataFile, ...]


class GradientSpecification(Configuration):
    """The whole job."""

    format: int
    id: str
    model: GradientModel
    seed: int
    data: GradientRows
