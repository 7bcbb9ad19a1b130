"""What the program is told: whose gradients of which rows, as `assets.training_sets.tagcos` writes it into the lake.

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
    """The model, and its warm-up. Descriptions: the comparison rules, `tagcos.features`."""

    model: str
    revision: str | None = None
    template: str
    max_tokens: int = Field(ge=16)
    warm_up_share: float = Field(gt=0, le=1)
    checkpoints: int = Field(ge=1)
    learning_rate: float = Field(gt=0, lt=1)
    batch: int = Field(ge=1)
    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dimensions: int = Field(ge=8, multiple_of=8)


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
