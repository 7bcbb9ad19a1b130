"""The set `cot`: for each seed a chain-of-thought answer by the strong model that BOOST-QA was made with.

The model sees the question alone and its answer is kept where it may be (rejection sampling, as in STaR,
arXiv:2203.14465): English, whole, and with the reference's final answer where the two can be compared by rule. Else it
is asked again, a bounded number of times, and then the seed keeps its own answer, which is counted.
"""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.answers.read import check_answer
from assets.boost_qa.assembly import Row, stream
from assets.boost_qa.release import Release, create_release_views
from assets.dialogues.fingerprint import sampling
from assets.dialogues.gate import POISONED_SHARE, TRANSIENT_REASONS
from assets.dialogues.prompts import disarmed
from assets.dialogues.screening import screen
from assets.framework.partition_run import Outcomes, Written, first_error_group, run_partitions
from assets.seeds.schema import SEEDS
from assets.training_sets.configuration import ReasoningRules
from assets.training_sets.variants import (
    HOME,
    QUERIES,
    TRAINING_SETS,
    Source,
    TrainingSet,
    TrainingSetError,
    current_training_set,
    make_set,
    original_row,
    pair_row,
)
from resources.chat.calls import Call, CallFailed, Chat, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Role
from resources.chat.service import ChatService, run_async
from resources.chat.throughput import Throughput
from resources.identity import stable_hash
from resources.lake.tables import Lake
from resources.progress import Update

PROMPT = Path(__file__).parent / "prompts" / "chain_of_thought.txt"
SCOPE = f"{HOME}/cot"
ROLE = Role.STRONG_STUDENT
WRONG = "wrong_final_answer"


def make_cot(
    lake: Lake,
    release: Release,
    chat: ChatService,
    rules: ReasoningRules,
    update: Update,
    run: str | None = None,
) -> TrainingSet:
    """The release's seeds, answered with a chain of thought. What was paid for is in the journal and not paid again.

    While another run of this machine makes the same, this one waits, and then finds it made.

    Args:
        lake: where everything is read and written.
        release: whose seeds, splits and order it has.
        chat: the models; the strong student answers.
        rules: how often it is asked.
        update: shows how many seeds are answered, of how many.
        run: whose budget is drawn on.

    Raises:
        TrainingSetError: too many seeds got no answer this time, or no answer at all may be used.
        EndpointUnusable, BudgetSpent: the run is to stop.
    """
    work, outcomes = ChainOfThought(lake, release, chat, rules, update, run), Outcomes(["cot"])
    run_async(run_partitions(work, outcomes, address=lake.store.uri(HOME)))
    return TRAINING_SETS.latest(lake, "cot")


@dataclass(slots=True)
class ChainOfThought:
    """Implements `PartitionWork` for the variant `cot`. A unit of work is the answer to one seed."""

    lake: Lake
    release: Release
    service: ChatService
    rules: ReasoningRules
    update: Update
    run_id: str | None = None  # whose budget is drawn on
    counts: Counter[str] = field(default_factory=Counter)  # what became of the seeds
    scratch: Path = field(init=False)
    chat: ChatEngine = field(init=False)

    def is_current(self, key: str) -> bool:
        """Whether the latest set was made of this release by these models."""
        return current_training_set(self.lake, self.release, key, self._made_with()) is not None

    def describe(self, key: str) -> Mapping[str, Any]:
        """Nothing: the caller describes the set."""
        return {}

    def read(self, key: str) -> str:
        """The system prompt."""
        return _prompt()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[asyncio.Semaphore]:
        """A chat engine, a folder for the answers, and slots for as many seeds as keep the engine busy."""
        with tempfile.TemporaryDirectory(prefix="chain_of_thought-") as folder:
            self.scratch = Path(folder)
            async with self.service.engine([ROLE], self.run_id) as self.chat:
                yield asyncio.Semaphore(max(1, self.chat.target_concurrency))

    async def run(self, key: str, inputs: str, slots: asyncio.Semaphore) -> Path:
        """A JSON Lines file with the answer to every seed of the release, in the order in which they came."""
        path, throughput = self.scratch / "answers.jsonl", Throughput(self.chat.total)
        total = sum(self.release.manifest["rows"].values())
        with path.open("w", encoding="utf-8") as file, self.lake.connect([SEEDS]) as connection:
            create_release_views(connection, self.lake, self.release, "released")

            async def answer(seed: Row) -> None:
                try:
                    text, why = await reason(self.chat, seed, inputs, self.rules.regenerations)
                finally:
                    slots.release()
                file.write(json.dumps({"seed_id": seed["seed_id"], "reasoned": text}) + "\n")
                self.counts[why or "reasoned"] += 1
                self.update(self.counts.total(), total, throughput.describe)

            async with first_error_group() as group:
                for seed in stream(connection, (QUERIES / "reasoning_pairs.sql").read_text(encoding="utf-8")):
                    await slots.acquire()  # there may be more seeds than fit in memory
                    group.create_task(answer(seed))
        _refuse_poor(self.counts)
        return path

    def write(self, key: str, inputs: str, made: Path) -> Written:
        """Publish the set: each seed with its chain of thought, or with its own answer where there is none."""
        sql = (QUERIES / "reasoned_pairs.sql").read_text(encoding="utf-8").replace("$answers", f"'{made}'")

        def rows(source: Source) -> Iterator[Row]:
            source.counts.update(self.counts)
            for pair in stream(source.connection, sql):
                reasoned = pair["reasoned"]
                yield pair_row(pair, "cot", pair["question"], reasoned) if reasoned else original_row(pair)

        make_set(self.lake, self.release, key, rows, self._made_with())
        return Written({})

    def _made_with(self) -> dict[str, Any]:
        profile = self.service.profile
        cast = profile.roles[ROLE]
        return {
            "model": cast.model,
            "temperature": cast.temperature,
            "max_tokens": cast.max_tokens,
            # the fields of a request may be secret, so the manifest has only their hash
            "sampling": stable_hash("sampling", sampling(profile, [ROLE]))[:16],
            "prompt": stable_hash("prompt", _prompt())[:16],
            "regenerations": self.rules.regenerations,
        }


def _prompt() -> str:
    return PROMPT.read_text(encoding="utf-8").strip()


async def reason(chat: Chat, seed: Mapping[str, Any], prompt: str, regenerations: int) -> tuple[str | None, str | None]:
    """A chain-of-thought answer to one seed and None; or None and why there is none (the last refusal).

    Raises:
        EndpointUnusable, BudgetSpent: the run is to stop.
    """
    question = "\n\n".join(filter(None, (seed["system"], seed["question"])))
    # The question is a message of its own, so it needs no fence.
    messages = (Message("system", prompt), Message("user", disarmed(question)))
    why: str | None = None
    for regeneration in range(regenerations + 1):
        call = Call(ROLE, messages, sample=seed["seed_id"], turn="cot", regeneration=regeneration)
        try:
            completion = await chat.complete(call, scope=SCOPE)
        except CallFailed as failure:
            return None, failure.reason
        text = completion.text.strip()
        why = screen(text, completion.finish_reason)
        if why is None and check_answer(text, seed["reference_final"], seed["domain"]) == "wrong":
            why = WRONG
        if why is None:
            return text, None
    return None, why


def _refuse_poor(counts: Counter[str]) -> None:
    transient = {why: count for why, count in counts.items() if why in TRANSIENT_REASONS}
    if sum(transient.values()) > POISONED_SHARE * counts.total():
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(transient.items()))
        raise TrainingSetError(
            f"{sum(transient.values())} of {counts.total()} seeds got no answer this time ({reasons}); materialise "
            "training_sets for cot again: only these are asked"
        )
    if not counts["reasoned"]:
        reasons = ", ".join(f"{count} {why}" for why, count in counts.most_common())
        raise TrainingSetError(
            f"none of {counts.total()} seeds got a chain of thought that may be used ({reasons}), so 'cot' would be "
            "'ori'; a stronger model as strong_student in the profile helps"
        )
