"""The set `cot`: for each seed a chain-of-thought answer by the strong model that BOOST-QA was made with.

The model sees the question alone and its answer is kept where it may be (rejection sampling, as in STaR,
arXiv:2203.14465): English, whole, and with the reference's final answer where the two can be compared by rule. Else it
is asked again, a bounded number of times, and then the seed keeps its own answer, which is counted.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from assets.answers.answers import check_answer
from assets.boost_qa.assembly import Row, stream
from assets.boost_qa.release import Release
from assets.dialogues.fingerprint import sampling
from assets.dialogues.prompts import disarmed
from assets.dialogues.screening import screen
from assets.dialogues.teaching import POISONED_SHARE, TRANSIENT_REASONS
from assets.framework.claims import claim_in_turn
from assets.quality.scored import all_or_first_error
from assets.training_sets.configuration import ReasoningRules
from assets.training_sets.variants import (
    HOME,
    QUERIES,
    Source,
    TrainingSet,
    TrainingSetError,
    make_set,
    original_row,
    pair_row,
)
from resources.chat.calls import Call, CallFailed, Chat, Message
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
Keep = Callable[[Mapping[str, Any], Throughput], None]


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
        update: told how many seeds are through, of how many.
        run: whose budget is drawn on.

    Raises:
        TrainingSetError: too many seeds got no answer this time, or no answer at all may be used.
        EndpointUnusable, BudgetSpent: the run is to stop.
    """
    prompt = PROMPT.read_text(encoding="utf-8").strip()
    cast = chat.profile.roles[ROLE]
    total = sum(release.manifest["rows"].values())

    def rows(source: Source) -> Iterator[Row]:
        path = source.scratch / "answers.jsonl"
        seeds = stream(source.connection, (QUERIES / "reasoning_pairs.sql").read_text(encoding="utf-8"))
        with path.open("w", encoding="utf-8") as file:

            def keep(answer: Mapping[str, Any], throughput: Throughput) -> None:
                file.write(json.dumps(answer) + "\n")
                source.counts[answer["why"] or "reasoned"] += 1
                update(source.counts.total(), total, throughput.describe)

            run_async(_answer_all(seeds, chat, prompt, rules.regenerations, keep, run))
        _refuse_poor(source.counts)
        sql = (QUERIES / "reasoned_pairs.sql").read_text(encoding="utf-8")
        for pair in stream(source.connection, sql.replace("$answers", f"'{path}'")):
            reasoned = pair["reasoned"]
            yield pair_row(pair, "cot", pair["question"], reasoned) if reasoned else original_row(pair)

    made_with = {
        "model": cast.model,
        "temperature": cast.temperature,
        "max_tokens": cast.max_tokens,
        "sampling": stable_hash("sampling", sampling(chat.profile, [ROLE]))[:16],  # fields of a request are not told
        "prompt": stable_hash("prompt", prompt)[:16],
        "regenerations": rules.regenerations,
    }
    claimed = run_async(claim_in_turn(lake.store.uri(SCOPE)))
    try:
        return make_set(lake, release, "cot", rows, made_with)
    finally:
        claimed.release()


async def _answer_all(
    seeds: Iterable[Row], chat: ChatService, prompt: str, regenerations: int, keep: Keep, run: str | None
) -> None:
    """Have every seed answered, as many at once as the engine likes; `keep` takes each as it comes."""
    waiting = iter(seeds)  # shared: each worker takes the next one
    async with chat.engine([ROLE], run) as engine:
        throughput = Throughput(engine.total)

        async def work() -> None:
            for seed in waiting:
                text, why = await reason(engine, seed, prompt, regenerations)
                keep({"seed_id": seed["seed_id"], "reasoned": text, "why": why}, throughput)

        await all_or_first_error(work() for _ in range(max(1, engine.target_concurrency)))


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
