"""Seeds as questions, read from `raw_seeds`."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from assets.framework.languages import ENGLISH
from assets.framework.partition_run import PartitionError
from assets.framework.partitions import partition_columns, source_of
from assets.framework.scenarios.scenario import Scenarios
from assets.seeds.schema import SEEDS
from assets.seeds.shards import shard_language, source_shards
from resources.lake.tables import Lake, Table

_CALCULATOR = re.compile(r"<<[\d\s.,+*/()%$^=-]*=[\d\s.,+*/()%$^=-]*>>")  # GSM8K: 9 * 2 = <<9*2=18>>18
_MARKED_RESULT = re.compile(r"(?:^|\n)[ \t]*####[ \t]*([-+]?[$€£]?\d[^\n]{0,40}?)\.?\s*\Z")  # GSM8K: #### 18

_COLUMNS = ("seed_id", "system", "question", "answer", "reference_final", "domain")


@dataclass(frozen=True, slots=True)
class Question:
    """A seed: a question, and the reference answer that some speakers must not see."""

    seed_id: str
    text: str  # as the dialogue shows it
    reference: str
    reference_final: str | None  # the result, where one could be read off the reference
    domain: str  # "math", "code" or "general"
    system: str | None = None  # how the question is meant, where the seed says so
    language: str = ENGLISH  # of question and answer

    @property
    def in_full(self) -> str:
        """What a model reads: the question below its system prompt.

        The dialogue shows `text` alone, as its row has the system prompt, but for a similar question with another one.
        """
        return f"{self.system}\n\n{self.text}" if self.system else self.text

    @property
    def shown_reference(self) -> str:
        """The reference as prompts show it: without the marks of GSM8K, `<<9*2=18>>` and `#### 18`."""
        text = _CALCULATOR.sub("", self.reference)
        said = "The answer is {}." if self.language == ENGLISH else "{}"
        return _MARKED_RESULT.sub(lambda found: f"\n{said.format(found[1])}", text).strip()


Questions = Mapping[str, Question]  # by seed_id


def question_of(seed: Mapping[str, Any], language: str = ENGLISH) -> Question:
    """A row of `raw_seeds` as a question; the language is that of its shard."""
    return Question(
        seed_id=seed["seed_id"],
        text=seed["question"],
        reference=seed["answer"],
        reference_final=seed["reference_final"],
        domain=seed["domain"],
        system=seed["system"],
        language=language,
    )


def read_questions(lake: Lake, source: str, shards: Iterable[str], seed_ids: Collection[str]) -> dict[str, Question]:
    """Those of these seeds that the given shards of a source have, by seed_id."""
    found: dict[str, Question] = {}
    for shard in shards:
        if len(found) == len(seed_ids):
            break
        rows = lake.read(SEEDS, [{"source": source, "shard": shard}], _COLUMNS)
        rows = rows.filter(pl.col("seed_id").is_in(list(seed_ids)))
        language = shard_language(lake, shard) if rows.height else ENGLISH
        found |= {row["seed_id"]: question_of(row, language) for row in rows.iter_rows(named=True)}
    return found


@dataclass(slots=True)
class PartnerQuestions:
    """The second questions of dialogues, read when first asked for: one pass over the seeds for a whole run."""

    lake: Lake
    table: Table  # has the column partner_seed_id: plans or dialogues
    keys: Iterable[str]  # of the run's partitions
    scenarios: Scenarios
    is_current: Callable[[str], bool] = lambda key: False  # may raise PartitionError
    _found: dict[str, Question] | None = field(default=None, init=False)

    def read(self) -> Questions:
        """The second questions of all dialogues among the partitions that are due."""
        if self._found is None:
            self._found = {}
            wanted: dict[str, set[str]] = {}
            for key in self.keys:
                keys = partition_columns(key)
                if self.scenarios[keys["scenario"]].needs_partner and self._is_due(key):
                    partners = self.lake.read(self.table, [keys], ["partner_seed_id"])["partner_seed_id"].drop_nulls()
                    wanted.setdefault(source_of(keys["shard"]), set()).update(partners)
            for source, seed_ids in wanted.items():
                self._found |= read_questions(self.lake, source, source_shards(self.lake, source), seed_ids)
        return self._found

    def _is_due(self, key: str) -> bool:
        try:
            return not self.is_current(key)
        except PartitionError:
            return False
