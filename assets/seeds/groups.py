"""Groups of seeds that belong in one split: near-duplicates, and the questions of one conversation."""

from collections.abc import Mapping, Sequence


def join_conversations(
    near: Mapping[str, str], conversations: Mapping[str, Sequence[str]], known: Mapping[str, str]
) -> dict[str, str]:
    """The representative of each new seed, so that all seeds of a conversation have the same one.

    Conversations that share a seed or a near-duplicate are one group. The representative of a known seed never changes:
    a conversation that has a known seed joins its group, whatever its other seeds are near-duplicates of.

    Args:
        near: each new seed to its representative among near-duplicates, as `group_near_duplicates` returns it.
        conversations: new seeds of conversations with several questions, each to the seed_ids of all of them.
        known: the representatives of those known seeds that these conversations have.
    """
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            parents[name] = name = parents[parent]
        return name

    for seed, representative in near.items():
        for other in (representative, *(known.get(one, one) for one in conversations.get(seed, ()))):
            parents[root(seed)] = root(other)
    existing = {*known.values(), *near.values()}.difference(near)
    # The last one that is set for a root wins: the smallest existing representative, else the smallest new one.
    chosen = {root(one): one for one in [*sorted(set(near.values()) - existing)[::-1], *sorted(existing)[::-1]]}

    def representative_of(seed: str, nearest: str) -> str:
        own = [known[one] for one in conversations.get(seed, ()) if one in known]
        if own:
            return own[0]
        if nearest in existing and seed not in conversations:
            return nearest
        return chosen[root(seed)]

    return {seed: representative_of(seed, nearest) for seed, nearest in near.items()}
