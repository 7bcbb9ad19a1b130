from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from assets.seeds.embeddings import EmbeddingError, embed_source
from assets.seeds.intake import take_in
from assets.seeds.schema import EMBEDDINGS
from resources.lake.tables import Lake

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure, WriteRows


class LengthEmbedder:
    """Returns directions that depend on the length of a text; records the texts."""

    def __init__(self, identity: str = "test:length") -> None:
        self.identity = identity
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        angles = np.array([len(text) for text in texts], dtype=np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.fixture
def seeds(lake: Lake, configure: "Configure", write_rows: "WriteRows") -> Lake:
    """A lake with three seeds in two shards."""
    write_rows({"question": "How many?" + "?" * number, "answer": f"{number}"} for number in range(3))
    take_in(lake, configure(shard_size=2), "sums")
    return lake


def test_every_question_gets_its_vector(seeds: Lake) -> None:
    embed_source(seeds, LengthEmbedder(), "sums")
    rows = seeds.read(EMBEDDINGS)
    assert rows["shard"].to_list() == ["sums-0000", "sums-0000", "sums-0001"]
    assert rows["vector"].list.len().to_list() == [2, 2, 2]
    assert rows["embedder"].unique().to_list() == ["test:length"]


def test_only_new_shards_are_embedded(seeds: Lake, configure: "Configure", write_rows: "WriteRows") -> None:
    embed_source(seeds, LengthEmbedder(), "sums")
    embedder = LengthEmbedder()
    assert embed_source(seeds, embedder, "sums").new_shards == []
    write_rows([{"question": "And this one?", "answer": "yes"}])
    take_in(seeds, configure(), "sums")
    assert embed_source(seeds, embedder, "sums").new_shards == ["sums-0002"]
    assert embedder.asked == ["And this one?"]


def test_another_embedder_embeds_every_shard_again(seeds: Lake) -> None:
    embed_source(seeds, LengthEmbedder(), "sums")
    embed_source(seeds, LengthEmbedder("test:other"), "sums")
    assert seeds.read(EMBEDDINGS)["embedder"].unique().to_list() == ["test:other"]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((2, 3), dtype=np.float32), "not of unit length"),
        (np.full((2, 3), np.nan, dtype=np.float32), "not of unit length"),
        (np.eye(3, dtype=np.float32), r"shape \(3, 3\) for the 2 questions of sums-0000"),
        (np.ones(2, dtype=np.float32), r"shape \(2,\)"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(seeds: Lake, vectors: Any, message: str) -> None:
    class Wrong(LengthEmbedder):
        def embed(self, texts: Sequence[str]) -> Any:
            return vectors

    with pytest.raises(EmbeddingError, match=message):
        embed_source(seeds, Wrong(), "sums")
    assert seeds.records(EMBEDDINGS) == []
