"""A reproducible sample of a stream in bounded memory: the seeds with the smallest hashes."""

import heapq
from dataclasses import dataclass, field

from assets.seeds.extraction import Pair
from resources.identity import stable_hash


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that may become a seed, and where it was read."""

    seed_id: str
    pair: Pair
    origin_file: str
    origin_row: int
    conversation: tuple[str, ...] = ()  # seed_ids of all pairs of its conversation, if it has several


def seed_id(source: str, question: str, answer: str) -> str:
    """The id of a seed: the same text of the same source is the same seed, in whatever row it is."""
    return stable_hash(source, question, answer)


@dataclass
class Sample:
    """Keeps the `size` candidates with the smallest rank, or all if `size` is None.

    A rank depends only on the seed's id and `random_seed`, so the sample does not depend on the order of the rows,
    and a bigger sample contains the smaller one.
    """

    size: int | None
    random_seed: int
    repeated: int = 0  # rows whose seed is in the sample already
    beyond: int = 0  # rows left out because the sample is full of smaller ranks
    kept: dict[str, Candidate] = field(default_factory=dict)
    _largest_first: list[tuple[int, str]] = field(default_factory=list)

    def offer(self, candidate: Candidate) -> None:
        """Keep a candidate if it belongs to the sample of the candidates offered so far."""
        known = self.kept.get(candidate.seed_id)
        if known is not None:
            self.repeated += 1
            # Which of several system prompts is kept must not depend on the order of the rows.
            if (candidate.pair.system or "") < (known.pair.system or ""):
                self.kept[candidate.seed_id] = candidate
            return
        if self.size is not None:
            entry = (-int(stable_hash("sample", self.random_seed, candidate.seed_id), 16), candidate.seed_id)
            if len(self.kept) < self.size:
                heapq.heappush(self._largest_first, entry)
            else:
                self.beyond += 1
                _, left_out = heapq.heappushpop(self._largest_first, entry)
                if left_out == candidate.seed_id:
                    return
                del self.kept[left_out]
        self.kept[candidate.seed_id] = candidate
