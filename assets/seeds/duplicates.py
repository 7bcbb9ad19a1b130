"""Near-duplicate questions of one source, by MinHash. Groups only grow: who stands for a group never changes."""

import re
from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from assets.seeds.configuration import Duplicates

RECALL = 0.99  # share of pairs at the threshold that must be compared
HASH_SEED = 42  # of the signatures, which are never stored: another one changes borderline groups only

# Signs count as words: "7 + 5" and "7 * 5" are different questions.
_WORD = re.compile(r"\w+|[^\w\s]")


def group_duplicates(
    representatives: Iterable[tuple[str, str]], newcomers: Iterable[tuple[str, str]], rules: Duplicates
) -> dict[str, str]:
    """Find for each new seed who stands for it.

    A newcomer joins the representative that its question is closest to, if that reaches the threshold; else it stands
    for itself and later ones may join it. Held seeds are never looked at again.

    Memory is that of the signatures (4 bytes for each of `rules.num_perm` numbers a seed) and a fifth more.

    Args:
        representatives: (seed id, question) of every held seed that stands for a group.
        newcomers: (seed id, question) in canonical order, which decides who comes first.
        rules: threshold and length of the signatures.

    Returns:
        seed id of each newcomer to the seed id that stands for its group.
    """
    ids: list[str] = []
    numbers = array("I")

    def sign(seeds: Iterable[tuple[str, str]]) -> None:
        for seed_id, question in seeds:
            ids.append(seed_id)
            numbers.extend(signature_of(question, rules).digest())

    sign(representatives)
    held = len(ids)
    sign(newcomers)
    signatures = np.frombuffer(numbers, dtype=np.uint32).reshape(-1, rules.num_perm)
    status: dict[int, list[int]] = {}  # bucket to those in it who stand for a group
    groups: dict[str, str] = {}
    for place, buckets in enumerate(shared_buckets(signatures, bands(rules))):
        mine = buckets[buckets >= 0].tolist()
        if place >= held:
            candidates = list({other for bucket in mine for other in status.get(bucket, [])})
            # The shares that a threshold is compared with are rounded.
            alike = (signatures[candidates] == signatures[place]).mean(axis=1) + 1e-6
            found = zip(alike.tolist(), candidates, strict=True)
            near = sorted((-similarity, ids[other]) for similarity, other in found if similarity >= rules.threshold)
            groups[ids[place]] = near[0][1] if near else ids[place]
            if near:
                continue
        for bucket in mine:
            status.setdefault(bucket, []).append(place)
    return groups


def shared_buckets(signatures: NDArray[np.uint32], count: int) -> NDArray[np.int32]:
    """Which signatures agree in one of `count` bands, and so are worth comparing.

    Args:
        signatures: shape (seeds, numbers).
        count: bands of equal length that a signature is cut into.

    Returns:
        The number of the bucket of signatures that are equal in a band, shape (seeds, count); -1 where a signature is
        alone. Now and then unequal ones share a bucket too.
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


def signature_of(question: str, rules: Duplicates) -> RMinHash:
    """MinHash signature of a question's runs of words; case does not count."""
    words = _WORD.findall(question.casefold())
    runs = [" ".join(words[at : at + rules.shingle]) for at in range(max(1, len(words) - rules.shingle + 1))]
    signature = RMinHash(num_perm=rules.num_perm, seed=HASH_SEED)
    signature.update(runs)
    return signature


def bands(rules: Duplicates) -> int:
    """Bands of a signature: the fewest candidates to compare that still find `RECALL` of the pairs at the threshold."""
    lengths = [length for length in range(1, rules.num_perm + 1) if rules.num_perm % length == 0]
    enough = [length for length in lengths if 1 - (1 - rules.threshold**length) ** (rules.num_perm // length) >= RECALL]
    return rules.num_perm // max(enough, default=1)
