"""Finds benchmark questions in the rows of a release: runs of several words in common, and equal questions."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from assets.boost_qa.configuration import Benchmark
from assets.seeds.reading import file_rows
from assets.seeds.rows import ReadOptions, RejectedRow, SeedsError
from resources.configuration import ConfigurationError
from resources.identity import stable_hash
from resources.lake.store import DEFAULT_S3, S3Options

_WORD = re.compile(r"\w+|[+\-*/^=<>%]")
_BORDER = "\n"  # between two texts; never a word


def words(text: str) -> list[str]:
    """Normalised text: words in lower case and arithmetic operators, without other punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


@dataclass(frozen=True, slots=True)
class Contamination:
    """What a text shares with a benchmark."""

    benchmark: str
    kind: str  # "same_question" | "overlap"
    words: str  # the shared words, normalised


class BenchmarkScreen:
    """Finds benchmark questions in text.

    Every run of `length` words becomes one 64-bit number, so that the questions of many benchmarks fit in memory
    (8 bytes per run) and a dialogue is screened in a fraction of a millisecond. Two runs get the same number by
    accident about once in 10^19.
    """

    def __init__(self, questions: Iterable[tuple[str, str]], length: int) -> None:
        """Read the questions, (benchmark's name, text) each; `length` is the length of a run in words."""
        self._length = length
        generator = np.random.default_rng(20250602)
        self._weights = generator.integers(1, 2**63, size=length, dtype=np.uint64) | np.uint64(1)
        self._vocabulary: dict[str, int] = {}
        self._exact: dict[str, str] = {}
        names: list[str] = []
        overlaps: list[NDArray[np.uint64]] = []
        owners: list[NDArray[np.int32]] = []
        digest = []
        for name, question in questions:
            found = words(question)
            if not found:
                continue
            digest.append([name, " ".join(found)])
            if name not in names:
                names.append(name)
            self._exact.setdefault(" ".join(found), name)
            for word in found:
                if word not in self._vocabulary:
                    self._vocabulary[word] = int(generator.integers(0, 2**63, dtype=np.uint64))
            numbers = self._overlaps(found)
            overlaps.append(numbers)
            owners.append(np.full(len(numbers), names.index(name), dtype=np.int32))
        self._names = names
        joined = np.concatenate(overlaps) if overlaps else np.empty(0, dtype=np.uint64)
        order = np.argsort(joined, kind="stable")
        self._known = joined[order]
        self._owners = (np.concatenate(owners) if owners else np.empty(0, dtype=np.int32))[order]
        self.questions = len(digest)
        self.fingerprint = stable_hash("benchmarks", length, sorted(digest))

    def find(self, texts: Iterable[str]) -> Contamination | None:
        """The first contamination of a dialogue's texts (questions, answers, turns), or None.

        Each is compared whole with the benchmarks' questions and searched for runs of words; no run spans two texts.
        """
        if not self._exact:  # splitting words takes half the time of a large release
            return None
        found: list[str] = []
        for text in texts:
            of_text = words(text)
            whole = " ".join(of_text)
            if whole in self._exact:
                return Contamination(self._exact[whole], "same_question", whole)
            found += [*of_text, _BORDER]
        numbers = self._overlaps(found)
        if not len(self._known) or not len(numbers):
            return None
        positions = np.minimum(np.searchsorted(self._known, numbers), len(self._known) - 1)
        hits = np.flatnonzero(self._known[positions] == numbers)
        if not len(hits):
            return None
        first = int(hits[0])
        shared = " ".join(found[first : first + self._length])
        return Contamination(self._names[int(self._owners[positions[first]])], "overlap", shared)

    def _overlaps(self, found: Sequence[str]) -> NDArray[np.uint64]:
        """One number for each run of `length` words; 0 where a word is in no benchmark."""
        if len(found) < self._length:
            return np.empty(0, dtype=np.uint64)
        numbers = np.array([self._vocabulary.get(word, 0) for word in found], dtype=np.uint64)
        windows = sliding_window_view(numbers, self._length)
        sums: NDArray[np.uint64] = (windows * self._weights).sum(axis=1, dtype=np.uint64)
        return np.where((windows == 0).any(axis=1), np.uint64(0), sums)


def read_benchmark(benchmark: Benchmark, s3: S3Options = DEFAULT_S3) -> Iterator[tuple[str, str]]:
    """(name, question) of every row of a benchmark's file.

    Raises:
        ConfigurationError: the file is missing, a row cannot be read, or a field is unknown (the message lists the
            known ones). A release is screened against the whole benchmark or not at all.
    """
    where = f"benchmark {benchmark.name!r}"
    try:
        for row in file_rows(benchmark.path, benchmark.path, ReadOptions(benchmark.question), s3):
            if isinstance(row, RejectedRow):
                raise ConfigurationError(f"{where}: {row.origin_file}, row {row.origin_row}: {row.detail}")
            missing = [field for field in benchmark.question if field not in row.values]
            if missing:
                known = ", ".join(sorted(row.values))
                raise ConfigurationError(f"{where}: {row.origin_file} has no field {missing[0]!r}; there are: {known}")
            yield benchmark.name, "\n".join(str(row.values[field] or "") for field in benchmark.question)
    except SeedsError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def open_screen(benchmarks: Iterable[Benchmark], length: int, s3: S3Options = DEFAULT_S3) -> BenchmarkScreen:
    """The screen over all configured benchmarks. Raises ConfigurationError, see `read_benchmark`."""
    return BenchmarkScreen((row for benchmark in benchmarks for row in read_benchmark(benchmark, s3)), length)
