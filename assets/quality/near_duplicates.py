"""Almost equal dialogues of one partition, by MinHash."""

from collections.abc import Mapping

from rensa import RMinHash, RMinHashLSH

from assets.quality.copying import words

SHINGLE_WORDS = 3
PERMUTATIONS = 128
BANDS = 32
SEED = 20250602


def near_duplicates(texts: Mapping[str, str], similarity: float) -> dict[str, str]:
    """Which texts are almost equal to an earlier one.

    Args:
        texts: by id, the best to be kept first.
        similarity: estimated Jaccard similarity of word trigrams from which on two texts are almost equal (0..1).

    Returns:
        Id of the later text to the id of the first that it resembles.
    """
    index = RMinHashLSH(threshold=similarity, num_perm=PERMUTATIONS, num_bands=BANDS)
    kept: dict[int, tuple[str, RMinHash]] = {}
    found: dict[str, str] = {}
    for number, (name, text) in enumerate(texts.items()):
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        sketch.update(_shingles(text))
        alike = sorted(key for key in index.query(sketch) if sketch.jaccard(kept[key][1]) >= similarity)
        if alike:
            found[name] = kept[alike[0]][0]
        else:
            index.insert(number, sketch)
            kept[number] = (name, sketch)
    return found


def _shingles(text: str) -> list[str]:
    said = words(text)
    if len(said) < SHINGLE_WORDS:
        return [" ".join(said)]
    return [" ".join(said[index : index + SHINGLE_WORDS]) for index in range(len(said) - SHINGLE_WORDS + 1)]
