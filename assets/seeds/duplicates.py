"""Near-duplicate questions of one source, by MinHash. Groups only grow: who stands for a group never changes."""

import re
from collections.abc import Iterable, Mapping

from rensa import RMinHash, RMinHashLSH

from assets.seeds.configuration import Duplicates

RECALL = 0.99  # share of pairs at the threshold that the index must find
HASH_SEED = 42  # of the signatures, which are never stored: another one changes borderline groups only

# Signs count as words: "7 + 5" and "7 * 5" are different questions.
_WORD = re.compile(r"\w+|[^\w\s]")


def group_duplicates(
    representatives: Mapping[str, str], newcomers: Iterable[tuple[str, str]], rules: Duplicates
) -> dict[str, str]:
    """Find for each new seed who stands for it.

    A newcomer joins the representative that its question is closest to, if that reaches the threshold; else it stands
    for itself and later ones may join it. Held seeds are never looked at again.

    Args:
        representatives: seed id to question of every held seed that stands for a group.
        newcomers: (seed id, question) in canonical order, which decides who comes first.
        rules: threshold and length of the signatures.

    Returns:
        seed id of each newcomer to the seed id that stands for its group.
    """
    index = RMinHashLSH(threshold=rules.threshold, num_perm=rules.num_perm, num_bands=bands(rules))
    ids: list[str] = []
    signatures: list[RMinHash] = []

    def add(seed_id: str, signature: RMinHash) -> None:
        index.insert(len(ids), signature)
        ids.append(seed_id)
        signatures.append(signature)

    for seed_id, question in representatives.items():
        add(seed_id, signature_of(question, rules))
    groups: dict[str, str] = {}
    for seed_id, question in newcomers:
        signature = signature_of(question, rules)
        # `jaccard` reaches the threshold up to float32's rounding.
        found = [(signature.jaccard(signatures[at]) + 1e-6, ids[at]) for at in set(index.query(signature))]
        near = sorted((-similarity, other) for similarity, other in found if similarity >= rules.threshold)
        if near:
            groups[seed_id] = near[0][1]
        else:
            groups[seed_id] = seed_id
            add(seed_id, signature)
    return groups


def signature_of(question: str, rules: Duplicates) -> RMinHash:
    """MinHash signature of a question's runs of words; case does not count."""
    words = _WORD.findall(question.casefold())
    runs = [" ".join(words[at : at + rules.shingle]) for at in range(max(1, len(words) - rules.shingle + 1))]
    signature = RMinHash(num_perm=rules.num_perm, seed=HASH_SEED)
    signature.update(runs)
    return signature


def bands(rules: Duplicates) -> int:
    """Bands of the index: the fewest candidates to compare that still find `RECALL` of the pairs at the threshold."""
    lengths = [length for length in range(1, rules.num_perm + 1) if rules.num_perm % length == 0]
    enough = [length for length in lengths if 1 - (1 - rules.threshold**length) ** (rules.num_perm // length) >= RECALL]
    return rules.num_perm // max(enough, default=1)
