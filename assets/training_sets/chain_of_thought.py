"""Chain-of-thought answers by one role of the profile, and the set `cot` that is made of them.

The model sees the question alone. Its answer is kept (rejection sampling, as in STaR, arXiv:2203.14465) if it is
English, not cut off, and has the reference's final answer where rules can compare the two. If not, the model is asked
again, a bounded number of times; then the seed keeps its original answer, which is counted.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.answers.check import check_answer
from assets.boost_qa.assembly import Row, stream
from assets.boost_qa.release import Release, create_release_views, create_view
from assets.dialogues.fingerprint import sampling
from assets.dialogues.gate import POISONED_SHARE, TRANSIENT_REASONS
from assets.dialogues.screening import ScreenContext, screen
from assets.framework.currency import why_not_current
from assets.framework.partition_run import Outcomes, Written, first_error_group, run_partitions
from assets.framework.prompts import disarmed
from assets.framework.usage_metadata import usage_facts
from assets.seeds.schema import SEEDS
from assets.seeds.shards import shard_language
from assets.training_sets.configuration import ReasoningRules
from assets.training_sets.schema import CHAIN_OF_THOUGHT_ANSWERS
from assets.training_sets.summary import answers_metadata
from assets.training_sets.variants import (
    RowContext,
    TrainingSet,
    TrainingSetError,
    make_set,
    original_row,
    pair_row,
    query,
)
from resources.chat.calls import Call, CallFailed, Chat, Message
from resources.chat.engine import ChatEngine
from resources.chat.profile import Profile
from resources.chat.service import ChatService, run_async
from resources.chat.throughput import Throughput
from resources.identity import stable_hash
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake
from resources.progress import Update

PROMPT = Path(__file__).parent / "prompts" / "chain_of_thought.txt"
JOURNAL_SCOPE = "training_sets/cot"  # as in older versions, so that no answer is paid for again
WRONG = "wrong_final_answer"


def describe_answers(profile: Profile, rules: ReasoningRules) -> dict[str, Any]:
    """What answers depend on beside the seeds: model, sampling, prompt, and how often a refused one is asked again.

    Raises:
        ConfigurationError: the profile has no model for the role that answers.
    """
    profile.check_roles(rules.roles_needed)
    cast = profile.roles[rules.role]
    return {
        "model": cast.model,
        "temperature": cast.temperature,
        "max_tokens": cast.token_limit,
        # the fields of a request may be secret, so the manifest has only their hash
        "sampling": stable_hash("sampling", sampling(profile, [rules.role]))[:16],
        "prompt": stable_hash("prompt", _prompt())[:16],
        "regenerations": rules.regenerations,
    }


def answer_seeds(
    lake: Lake, release: Release, chat: ChatService, rules: ReasoningRules, update: Update, run: str | None = None
) -> Mapping[str, Any]:
    """Write the answers to the seeds of a release; current ones stay. A call that was paid for is in the journal.

    While another run on this machine makes the same answers, this one waits, and then finds them current.

    Args:
        lake: where everything is read and written.
        release: whose seeds are answered.
        chat: the models.
        rules: which role answers, and how often it is asked again.
        update: shows how many seeds are answered, of how many.
        run: whose budget is used.

    Returns:
        The metadata for the UI.

    Raises:
        TrainingSetError: too many calls failed this time, or no answer at all can be used.
        EndpointUnusable, BudgetSpent: the run has to stop.
    """
    work, outcomes = AnswerWork(lake, release, chat, rules, update, run), Outcomes([release.id])
    run_async(run_partitions(work, outcomes, address=lake.store.uri(CHAIN_OF_THOUGHT_ANSWERS.name)))
    if failure := outcomes.failures.get(release.id):
        raise TrainingSetError(failure)
    return outcomes.written[release.id]


def find_answers(lake: Lake, release: Release, profile: Profile, rules: ReasoningRules) -> PartitionRecord | None:
    """The answers to the seeds of a release by this profile and these rules; None where there are none."""
    record = lake.record(CHAIN_OF_THOUGHT_ANSWERS, {"release": release.id})
    fingerprint = _fingerprint(release, describe_answers(profile, rules))
    return record if why_not_current(record, fingerprint) is None else None


def make_cot(lake: Lake, release: Release, profile: Profile, rules: ReasoningRules) -> TrainingSet:
    """The release's seeds, each with its chain-of-thought answer; those without one keep their original answer.

    Raises:
        TrainingSetError: there are no answers to the seeds of this release by this profile and these rules.
    """
    made_with = describe_answers(profile, rules)

    def rows(context: RowContext) -> Iterator[Row]:
        record = find_answers(lake, release, profile, rules)
        if record is None:
            raise TrainingSetError(
                f"there are no chain-of-thought answers to the seeds of release {release.id} by {made_with['model']} "
                "under the present rules; materialise chain_of_thought_answers first"
            )
        file = lake.store.uri(lake.path(CHAIN_OF_THOUGHT_ANSWERS, record.keys))
        create_view(context.connection, "answers", CHAIN_OF_THOUGHT_ANSWERS.schema, [file])
        for pair in stream(context.connection, query("answered_pairs.sql")):
            answer = pair["chain_of_thought"]
            context.counts["reasoned" if answer else pair["reason"] or "unanswered"] += 1
            yield pair_row(pair, "cot", pair["question"], answer) if answer else original_row(pair)

    about = f"The seeds of the release, each answered with a chain of thought by {made_with['model']}."
    return make_set(lake, release, "cot", about, rows, made_with)


@dataclass(slots=True)
class AnswerWork:
    """Implements `PartitionWork` for the answers to one release. A unit of work is the answer to one seed."""

    lake: Lake
    release: Release
    service: ChatService
    rules: ReasoningRules
    update: Update
    run_id: str | None  # whose budget is used
    chat: ChatEngine = field(init=False)

    def is_current(self, key: str) -> bool:
        """Whether there are answers by these models and rules."""
        return find_answers(self.lake, self.release, self.service.profile, self.rules) is not None

    def describe(self, key: str) -> Mapping[str, Any]:
        """What the UI shows of the answers."""
        return answers_metadata(self.lake, {"release": key}, None)

    def read(self, key: str) -> str:
        """The system prompt."""
        return _prompt()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[asyncio.Semaphore]:
        """A chat engine, and slots for as many seeds as keep it busy."""
        async with self.service.engine([self.rules.role], self.run_id) as self.chat:
            yield asyncio.Semaphore(max(1, self.chat.target_concurrency))

    async def run(self, key: str, inputs: str, slots: asyncio.Semaphore) -> list[Row]:
        """Rows of `CHAIN_OF_THOUGHT_ANSWERS`, in the order in which they came."""
        answers: list[Row] = []
        throughput = Throughput(self.chat.total)
        total = sum(self.release.manifest["rows"].values())
        languages: dict[str, str] = {}  # by shard
        with self.lake.connect([SEEDS]) as connection:
            create_release_views(connection, self.lake, self.release, "released")

            async def answer(seed: Row) -> None:
                try:
                    language = languages[seed["shard"]]
                    text, reason = await answer_seed(self.chat, seed, inputs, self.rules, language)
                finally:
                    slots.release()
                answers.append({"release": key, "seed_id": seed["seed_id"], "answer": text, "reason": reason})
                self.update(len(answers), total, throughput.describe)

            async with first_error_group() as group:
                for seed in stream(connection, query("questions.sql")):
                    if seed["shard"] not in languages:
                        languages[seed["shard"]] = shard_language(self.lake, seed["shard"])
                    await slots.acquire()  # not all questions are in memory at once
                    group.create_task(answer(seed))
        _refuse_poor(Counter(row["reason"] for row in answers), self.rules.role)
        return answers

    def write(self, key: str, inputs: str, made: list[Row]) -> Written:
        """Write the answers by seed_id."""
        keys, made_with = {"release": key}, describe_answers(self.service.profile, self.rules)
        usage = self.chat.take_usage(JOURNAL_SCOPE)
        self.lake.write(
            CHAIN_OF_THOUGHT_ANSWERS,
            keys,
            CHAIN_OF_THOUGHT_ANSWERS.frame(made).sort("seed_id"),
            fingerprint=_fingerprint(self.release, made_with),
            facts={"made_with": made_with, "usage": usage_facts(usage)},
        )
        return Written(answers_metadata(self.lake, keys, usage))


def _fingerprint(release: Release, made_with: Mapping[str, Any]) -> str:
    return stable_hash(CHAIN_OF_THOUGHT_ANSWERS.name, release.id, made_with)


async def answer_seed(
    chat: Chat, seed: Mapping[str, Any], prompt: str, rules: ReasoningRules, language: str
) -> tuple[str | None, str | None]:
    """A chain-of-thought answer to one seed, and None; or None, and why there is none (the last refusal).

    Raises:
        EndpointUnusable, BudgetSpent: the run has to stop.
    """
    question = "\n\n".join(filter(None, (seed["system"], seed["question"])))
    # The question is a message of its own, so it needs no fence.
    messages = (Message("system", prompt.replace("{language}", language)), Message("user", disarmed(question)))
    reason: str | None = None
    for regeneration in range(rules.regenerations + 1):
        call = Call(rules.role, messages, sample=seed["seed_id"], turn="cot", regeneration=regeneration)
        try:
            completion = await chat.complete(call, scope=JOURNAL_SCOPE)
        except CallFailed as failure:
            return None, failure.reason
        text = completion.text.strip()
        reason = screen(text, completion.finish_reason, ScreenContext(task=question, language=language))
        if reason is None and check_answer(text, seed["reference_final"], seed["domain"]) == "wrong":
            reason = WRONG
        if reason is None:
            return text, None
    return None, reason


def _prompt() -> str:
    return PROMPT.read_text(encoding="utf-8").strip()


def _refuse_poor(reasons: Counter[str | None], role: str) -> None:
    """Raise where too many calls failed, or no answer can be used. Key None counts the usable answers."""
    transient = {reason: count for reason, count in reasons.items() if reason in TRANSIENT_REASONS}
    if sum(transient.values()) > POISONED_SHARE * reasons.total():
        listed = ", ".join(f"{count} {reason}" for reason, count in sorted(transient.items()))
        raise TrainingSetError(
            f"{sum(transient.values())} of {reasons.total()} seeds got no answer this time ({listed}); materialise "
            "chain_of_thought_answers again: only these are asked"
        )
    if not reasons[None]:
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise TrainingSetError(
            f"none of {reasons.total()} seeds got a chain of thought that can be used ({listed}), so 'cot' would equal "
            f"'ori'; use a stronger model for the role {role!r} of the profile, or another role (cot.role)"
        )
