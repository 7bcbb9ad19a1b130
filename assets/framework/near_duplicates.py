"""Near-duplicate texts, found by MinHash: one rule for seeds, dialogues and releases.

Two texts are as similar as the Jaccard similarity of their shingles, which are runs of words.
"""

import re
from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashLSH

SHINGLE_WORDS = 3
NUM_PERM = 120
HASH_SEED = 42  # of the signatures, which are never stored: another one changes borderline groups only

# Punctuation counts as words: "7 + 5" and "7 * 5" are different questions.
_WORD = re.compile(r"\w+|[^\w\s]")


def shingles(text: str, length: int = SHINGLE_WORDS) -> list[str]:
    """The runs of `length` words of a text; a shorter text is one run. Case and spacing do not count."""
    words = _WORD.findall(text.casefold())
    return [" ".join(words[start : start + length]) for start in range(max(1, len(words) - length + 1))]


def group_near_duplicates(
    representatives: Iterable[tuple[str, str]],
    newcomers: Iterable[tuple[str, str]],
    threshold: float,
    num_perm: int = NUM_PERM,
    shingle: int = SHINGLE_WORDS,
) -> dict[str, str]:
    """Find the representative of each new text's group. Groups only grow: a representative never changes.

    A new text joins the representative that it is most similar to, if that reaches the threshold. Otherwise it
    represents itself, and later ones may join it.

    Memory is that of the signatures (4 bytes for each of `num_perm` numbers of a text) and a fifth more.

    Args:
        representatives: (id, text) of every known text that represents a group.
        newcomers: (id, text) of the new ones; the first of a group represents it.
        threshold: estimated Jaccard similarity from which on two texts are near-duplicates (0..1).
        num_perm: length of a signature; a longer one estimates more exactly.
        shingle: words of a run.

    Returns:
        id of each new text to the id of its representative.
    """
    ids: list[str] = []
    numbers = array("I")

    def sign(texts: Iterable[tuple[str, str]]) -> None:
        for name, text in texts:
            ids.append(name)
            numbers.extend(_signature(shingles(text, shingle), num_perm).digest())

    sign(representatives)
    known = len(ids)
    sign(newcomers)
    signatures = np.frombuffer(numbers, dtype=np.uint32).reshape(-1, num_perm)
    in_bucket: dict[int, list[int]] = {}  # bucket to the rows of its representatives
    groups: dict[str, str] = {}
    for row, buckets in enumerate(shared_buckets(signatures, bands(threshold, num_perm))):
        own = buckets[buckets >= 0].tolist()
        if row >= known:
            candidates = list({other for bucket in own for other in in_bucket.get(bucket, [])})
            # The tolerance is for the rounding of shares.
            similarities = (signatures[candidates] == signatures[row]).mean(axis=1) + 1e-6
            found = zip(similarities.tolist(), candidates, strict=True)
            near = sorted((-similarity, ids[other]) for similarity, other in found if similarity >= threshold)
            groups[ids[row]] = near[0][1] if near else ids[row]
            if near:
                continue
        for bucket in own:
            in_bucket.setdefault(bucket, []).append(row)
    return groups


class NearDuplicateIndex:
    """Texts among which near-duplicates of other texts are found, one by one.

    MinHash only proposes candidates: similarity is the exact Jaccard similarity of the shingles, so that nothing that
    is removed rests on an estimate. Memory grows with the texts added, not with those looked up.
    """

    def __init__(self, threshold: float) -> None:
        """Args: threshold: Jaccard similarity from which on two texts are near-duplicates (0..1)."""
        self._threshold = threshold
        self._index = RMinHashLSH(threshold, NUM_PERM, bands(threshold, NUM_PERM, recall=0.999999))
        self._texts: list[str] = []  # the shingles of a text take twenty times its memory

    def add(self, text: str) -> None:
        """Add a text. Its number is how many were added before."""
        self._index.insert(len(self._texts), _signature(shingles(text), NUM_PERM))
        self._texts.append(text)

    def find(self, text: str) -> list[tuple[int, float]]:
        """(number, similarity) of every text added that reaches the threshold, by number."""
        runs = shingles(text)
        mine, near = set(runs), []
        for number in sorted(self._index.query(_signature(runs, NUM_PERM))):
            other = set(shingles(self._texts[number]))
            similarity = len(mine & other) / len(mine | other)
            if similarity >= self._threshold:
                near.append((number, similarity))
        return near


def shared_buckets(signatures: NDArray[np.uint32], count: int) -> NDArray[np.int32]:
    """Which signatures agree in one of `count` bands, and so are worth comparing.

    Args:
        signatures: shape (texts, numbers).
        count: bands of equal length that a signature is cut into.

    Returns:
        The number of the bucket of signatures that are equal in a band, shape (texts, count); -1 where a signature is
        alone. Unequal signatures rarely share a bucket too.
    """
    length = signatures.shape[1] // count
    weights = np.random.default_rng(HASH_SEED).integers(2**63, size=length, dtype=np.uint64) | np.uint64(1)
    buckets = np.empty((len(signatures), count), dtype=np.int32)
    used = 0
    for band in range(count):
        keys = (signatures[:, band * length : (band + 1) * length] * weights).sum(axis=1, dtype=np.uint64)
        _, numbers, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        buckets[:, band] = np.where(sizes[numbers] > 1, used + numbers, -1)
        used += len(sizes)
    return buckets


def bands(threshold: float, num_perm: int, recall: float = 0.99) -> int:
    """How many bands to cut a signature into: the fewest that still find `recall` of the pairs at the threshold."""
    lengths = [length for length in range(1, num_perm + 1) if num_perm % length == 0]
    enough = [length for length in lengths if 1 - (1 - threshold**length) ** (num_perm // length) >= recall]
    return num_perm // max(enough, default=1)


def _signature(runs: list[str], num_perm: int) -> RMinHash:
    signature = RMinHash(num_perm=num_perm, seed=HASH_SEED)
    signature.update(runs)
    return signature
