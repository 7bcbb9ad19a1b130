"""`show`: one dialogue of the lake as a chat."""

import re

import polars as pl

from assets.boost_qa.release import RELEASES, create_release_views
from assets.dialogues.questions import read_questions
from assets.dialogues.schema import DIALOGUES
from assets.framework.currency import was_made_from_others
from assets.framework.partitions import source_of
from assets.quality.partition_status import scores_of_dialogues
from assets.quality.schema import SCORED
from assets.seeds.shards import source_shards
from master_dagster.cli.chat import ShownDialogue, print_chat
from master_dagster.deployment import load_deployment
from master_dagster.terminal import console, print_json
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake

SHOWN_IDS = 5
BEST = """
    SELECT dialogue_id, scenario, shard FROM scores
    ORDER BY accepted DESC, quality_score DESC, dialogue_id LIMIT 1
"""
WORST = """
    SELECT dialogue_id, scenario, shard FROM scores
    WHERE NOT accepted ORDER BY status = 'set_aside', quality_score, dialogue_id LIMIT 1
"""
WITH_PREFIX = """
    SELECT dialogue_id, scenario, shard FROM scenario_dialogues
    WHERE starts_with(dialogue_id, $prefix) ORDER BY dialogue_id LIMIT $most
"""


def show(dialogue_id: str | None, rejected: bool, as_json: bool) -> None:
    """Print one dialogue.

    Args:
        dialogue_id: the beginning of its id; None for the best accepted dialogue.
        rejected: without an id: the worst rejected one.
        as_json: print JSON.

    Raises:
        ConfigurationError: a setting is wrong, or there is no such dialogue.
    """
    lake = load_deployment().lake()
    if dialogue_id is not None:
        shown = find_dialogue(lake, dialogue_id)
    else:
        shown = worst_dialogue(lake) if rejected else best_dialogue(lake)
    if as_json:
        print_json(shown.as_json())
    else:
        print_chat(shown)


def show_best(lake: Lake) -> None:
    """Print the best accepted dialogue, or the best rejected one where none is accepted."""
    best = best_dialogue(lake)
    accepted = best.scores and best.scores["accepted"]
    console.print("The best accepted dialogue:" if accepted else "No dialogue was accepted. The best rejected one:")
    print_chat(best)


def best_dialogue(lake: Lake) -> ShownDialogue:
    """The accepted dialogue with the highest score; the rejected one with the highest score where none is accepted.

    Raises:
        ConfigurationError: no dialogue is scored yet.
    """
    return _ranked_first(lake, BEST, "scored")


def worst_dialogue(lake: Lake) -> ShownDialogue:
    """The rejected dialogue with the lowest score; complete ones come first.

    Raises:
        ConfigurationError: no dialogue was rejected.
    """
    return _ranked_first(lake, WORST, "rejected")


def find_dialogue(lake: Lake, prefix: str) -> ShownDialogue:
    """The dialogue whose id begins with `prefix`.

    Raises:
        ConfigurationError: there is none, or several.
    """
    wanted = prefix.strip().lower()
    parameters = {"prefix": wanted, "most": SHOWN_IDS + 1}
    with lake.connect([DIALOGUES]) as connection:
        found = connection.execute(WITH_PREFIX, parameters).fetchall() if re.fullmatch("[0-9a-f]+", wanted) else []
        example = connection.execute("SELECT min(dialogue_id) FROM scenario_dialogues").fetchone()
    if len(found) == 1:
        return read_dialogue(lake, *found[0])
    if found:
        some = ", ".join(name for name, _, _ in found[:SHOWN_IDS]) + (", …" if len(found) > SHOWN_IDS else "")
        raise ConfigurationError(f"several dialogues begin with {wanted}: {some}; give more digits")
    if not example or not example[0]:
        raise ConfigurationError(_none_yet(lake, "generated"))
    raise ConfigurationError(
        f"no dialogue of the lake at {lake.store.root} has an id that begins with {prefix!r}; an id looks like "
        f"{example[0]}, and its first digits are enough"
    )


def read_dialogue(lake: Lake, dialogue_id: str, scenario: str, shard: str) -> ShownDialogue:
    """A dialogue of a partition with its scores, its questions, and whether the latest release has it."""
    keys = {"scenario": scenario, "shard": shard}
    this = pl.col("dialogue_id") == dialogue_id
    dialogue = lake.read(DIALOGUES, [keys]).row(by_predicate=this, named=True)
    scored = lake.record(SCORED, keys)
    of_others = scored is None or was_made_from_others(scored, lake.record(DIALOGUES, keys))
    scores = [] if of_others else lake.read(SCORED, [keys]).filter(this).to_dicts()
    source = source_of(shard)
    seeds = [name for name in (dialogue["seed_id"], dialogue["partner_seed_id"]) if name]
    shards = sorted(source_shards(lake, source), key=lambda one: one != shard)
    questions = read_questions(lake, source, shards, seeds)
    return ShownDialogue(
        dialogue,
        scores[0] if scores else None,
        [questions[name] for name in seeds if name in questions],
        _in_release(lake, dialogue_id),
    )


def _ranked_first(lake: Lake, query: str, participle: str) -> ShownDialogue:
    with lake.connect([SCORED], only={"scores": scores_of_dialogues(lake)}) as connection:
        found = connection.execute(query).fetchone()
    if found is None:
        raise ConfigurationError(_none_yet(lake, participle))
    return read_dialogue(lake, *found)


def _none_yet(lake: Lake, participle: str) -> str:
    return (
        f"no dialogue of the lake at {lake.store.root} is {participle} yet; run `master-dagster run`, or set "
        "MASTER_LAKE_ROOT to another lake"
    )


def _in_release(lake: Lake, dialogue_id: str) -> str:
    release = RELEASES.find_latest(lake)
    if release is None:
        return "there is no release yet"
    with lake.connect([]) as connection:
        create_release_views(connection, lake, release, "released")
        split = connection.execute("SELECT split FROM released WHERE id = $1", [dialogue_id]).fetchone()
        removed = connection.execute(
            "SELECT decision, reason FROM released_removed WHERE dialogue_id = $1", [dialogue_id]
        ).fetchone()
    if split:
        return f"in release {release.id}, split {split[0]}"
    if removed:
        return f"not in release {release.id}: {removed[0]}, {removed[1]}"
    return f"not in release {release.id}, which was made before"
