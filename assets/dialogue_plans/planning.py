"""Who learns what how: split, scenario, debate rounds and analogy partner of every seed (METHOD: the scenarios).

Every draw is a hash of the seed and the rules' random seed, so it does not depend on what else is planned. What a
written plan says stands for good: its shard is never planned again, and the splits that it gave its duplicates and its
partner bind the plans that follow, under whatever rules those are made.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogue_plans.retrieval import nearest
from assets.dialogue_plans.schema import DIALOGUE_PLANS, SPLIT_NAMES
from assets.framework.partitions import Scenario
from assets.seeds.schema import EMBEDDINGS, SEEDS
from assets.seeds.shards import source_shards
from resources.identity import draw_index, draw_one, stable_hash
from resources.lake.tables import AlreadyWritten, Lake

SCENARIOS = tuple(Scenario)
PLANNED_FROM = ["seed_id", "source", "shard", "reading", "domain", "representative"]


class PlanError(RuntimeError):
    """Partitions cannot be planned. The message says what is missing and what to materialise."""


def pin_shards(
    lake: Lake, source: str, shards: Sequence[str], rules: PlanRules, retracted: Collection[str] = frozenset()
) -> list[str]:
    """Plan the given shards of one source and write them, each for good; those that are written already are left.

    Args:
        lake: holds the source's seeds and embeddings.
        source: whose seeds are planned.
        shards: which of its shards.
        rules: shares and retrieval.
        retracted: seeds that were taken down: they are no one's partner.

    Returns:
        The shards that were written now.

    Raises:
        PlanError: a shard has no seeds, or embeddings are missing or come from several embedders.
    """
    new = [shard for shard in shards if lake.record(DIALOGUE_PLANS, {"shard": shard}) is None]
    if not new:
        return []
    held = source_shards(lake, source)
    unknown = sorted(set(new) - set(held))
    if unknown:
        raise PlanError(f"raw_seeds holds no shard {', '.join(unknown)}; materialise raw_seeds for {source} first")
    seeds = lake.read(SEEDS, [{"source": source, "shard": shard} for shard in held], PLANNED_FROM)
    seeds = arrange(seeds, pinned_splits(lake, source, seeds), rules)
    plans = draw_plans(seeds, new, rules)
    asking = plans.filter(pl.col("drawn_scenario") == Scenario.ANALOGY)["row"].to_numpy()
    embedder = None
    if asking.size:
        vectors, embedder = read_vectors(lake, source, held, seeds)
        plans = draw_partners(plans, seeds, vectors, asking, rules, retracted)
    plans = draw_rounds(plans, rules)
    written = []
    for shard in new:
        rows = plans.filter(pl.col("shard") == shard).select(*DIALOGUE_PLANS.columns)
        facts = {"rules": rules.identity, "embedder": embedder}
        fingerprint = stable_hash("lesson_plans", rows.rows())  # the table's first name: existing plans have it
        with suppress(AlreadyWritten):  # another run was faster: its plans stand
            lake.write(DIALOGUE_PLANS, {"shard": shard}, rows, fingerprint=fingerprint, facts=facts, once=True)
            written.append(shard)
    return written


def pinned_splits(lake: Lake, source: str, seeds: pl.DataFrame) -> pl.DataFrame:
    """Representative and split where a written plan of the source has decided it: of its own seed and its partner."""
    shards = seeds["shard"].unique()
    columns = ["seed_id", "representative", "split", "partner_seed_id"]
    plans = lake.read(DIALOGUE_PLANS, [{"shard": shard} for shard in shards], columns)
    partners = plans.select(seed_id="partner_seed_id", split="split").drop_nulls().unique()
    of_partners = partners.join(seeds.select("seed_id", "representative"), on="seed_id")
    decided = pl.concat([of_partners.select("representative", "split"), plans.select("representative", "split")])
    return decided.unique("representative", keep="last", maintain_order=True)


def arrange(seeds: pl.DataFrame, pinned: pl.DataFrame, rules: PlanRules) -> pl.DataFrame:
    """Seeds with their `split` and their place `held` in the lake, ordered by split and reading.

    The pool of a seed, those of its split in its own or an earlier reading, is then a run of rows.

    Args:
        seeds: in the order of the lake.
        pinned: as from `pinned_splits`.
        rules: how the others are shared out among the splits.
    """
    drawn = pl.col("representative").map_elements(
        lambda name: SPLIT_NAMES[_draw(rules.splits.parts, "split", rules, name)], return_dtype=pl.String
    )
    of_representative = (
        seeds.select(pl.col("representative").unique(maintain_order=True))
        .join(pinned, on="representative", how="left", maintain_order="left")
        .with_columns(pl.coalesce("split", drawn))
    )
    return (
        seeds.with_row_index("held")
        .join(of_representative, on="representative", how="left", maintain_order="left")
        .sort("split", "reading", maintain_order=True)
        .with_row_index("row")
    )


def draw_plans(seeds: pl.DataFrame, shards: Collection[str], rules: PlanRules) -> pl.DataFrame:
    """A plan for each seed of `shards`, in the order of the lake, as drawn: partners and rounds are still open."""
    plans = seeds.filter(pl.col("shard").is_in(list(shards))).sort("held")
    drawn = [SCENARIOS[_draw(rules.scenarios.parts, "scenario", rules, seed_id)].value for seed_id in plans["seed_id"]]
    return plans.with_columns(
        drawn_scenario=pl.Series(drawn, dtype=pl.String),
        scenario=pl.Series(drawn, dtype=pl.String),
        partner_seed_id=pl.lit(None, pl.String),
        partner_similarity=pl.lit(None, pl.Float32),
    )


def draw_partners(
    plans: pl.DataFrame,
    seeds: pl.DataFrame,
    vectors: NDArray[np.float32],
    asking: NDArray[np.uint32],
    rules: PlanRules,
    retracted: Collection[str],
) -> pl.DataFrame:
    """Give each analogy one of its nearest neighbours; one without any becomes one of the other scenarios by draw.

    Args:
        plans: as from `draw_plans`.
        seeds: as from `arrange`.
        vectors: unit vectors in the order of `seeds`, shape (seeds, dimensions).
        asking: rows of `seeds` that are analogies.
        rules: how many neighbours, how similar.
        retracted: seeds that are no one's partner.
    """
    names = seeds["seed_id"]
    groups = seeds["representative"].rank("dense").to_numpy().astype(np.int32)
    barred = names.is_in(list(retracted)).to_numpy()
    decided: list[tuple[int, str, str | None, float | None]] = []
    for (split, reading), rows in seeds[asking].group_by("split", "reading", maintain_order=True):
        in_split = (seeds["split"] == split).arg_true()
        held_then = int((seeds["reading"].gather(in_split) <= reading).sum())
        pool = slice(int(in_split[0]), int(in_split[0]) + held_then)
        queries = rows["row"].to_numpy().astype(np.int64)
        found, similarities = nearest(vectors, queries, pool, groups, rules.neighbours, barred)
        for row, candidates, scores in zip(queries.tolist(), found, similarities, strict=True):
            near = {
                names[candidate]: score
                for candidate, score in zip(candidates.tolist(), scores.tolist(), strict=True)
                if candidate >= 0 and score >= rules.min_similarity
            }
            if near:
                # Drawn from the names in order: which neighbour is the nearest may hang on a machine's rounding.
                partner = draw_one(sorted(near), "partner", rules.random_seed, names[row])
                decided.append((row, Scenario.ANALOGY.value, partner, near[partner]))
            else:
                decided.append((row, _other_scenario(rules, names[row]), None, None))
    columns = {
        "row": pl.UInt32,
        "scenario": pl.String,
        "partner_seed_id": pl.String,
        "partner_similarity": pl.Float32,
    }
    return plans.update(pl.DataFrame(decided, schema=columns, orient="row"), on="row")


def draw_rounds(plans: pl.DataFrame, rules: PlanRules) -> pl.DataFrame:
    """Plans with `debate_rounds`, one or two in a debate, null elsewhere."""
    rounds = [
        1 + _draw(rules.debate_rounds.parts, "debate_rounds", rules, seed_id) if scenario == Scenario.DEBATE else None
        for seed_id, scenario in plans.select("seed_id", "scenario").iter_rows()
    ]
    return plans.with_columns(debate_rounds=pl.Series(rounds, dtype=pl.Int8))


def read_vectors(
    lake: Lake, source: str, shards: Sequence[str], seeds: pl.DataFrame
) -> tuple[NDArray[np.float32], str]:
    """The unit vectors of a source's seeds in the order of `seeds`, shape (seeds, dimensions), and their embedder.

    Read shard by shard into place: one copy of the vectors is held, never two.

    Raises:
        PlanError: seeds without a vector, or vectors of several embedders or lengths.
    """
    vectors: NDArray[np.float32] | None = None
    embedders: dict[str, str] = {}
    filled = np.zeros(seeds.height, dtype=np.bool_)
    for shard in shards:
        rows = seeds.filter(pl.col("shard") == shard).select("seed_id", "row")
        part = lake.read(EMBEDDINGS, [{"source": source, "shard": shard}]).join(rows, on="seed_id")
        if part.is_empty():
            continue
        embedders |= dict.fromkeys(part["embedder"].unique(), shard)
        dimensions = part["vector"].list.len().unique().to_list()
        if vectors is None:
            vectors = np.empty((seeds.height, dimensions[0]), dtype=np.float32)
        if len(embedders) > 1 or dimensions != [vectors.shape[1]]:
            found = ", ".join(f"{name} (in {where})" for name, where in sorted(embedders.items()))
            raise PlanError(
                f"{source}: its embeddings are not of one kind: {found}; vectors of lengths {vectors.shape[1]} and "
                f"{dimensions}; materialise seed_embeddings for {source} again with one embedder"
            )
        places = part["row"].to_numpy()
        vectors[places] = part["vector"].list.to_array(dimensions[0]).to_numpy()
        filled[places] = True
    if vectors is None or not filled.all():
        raise PlanError(
            f"{source}: {int((~filled).sum())} of {seeds.height} seeds have no embedding; "
            f"materialise seed_embeddings for {source} first"
        )
    return vectors, next(iter(embedders))


def _other_scenario(rules: PlanRules, seed_id: str) -> str:
    others = [scenario for scenario in SCENARIOS if scenario is not Scenario.ANALOGY]
    shares = [rules.scenarios.expected[scenario] for scenario in others]
    return others[_draw(shares if sum(shares) else [1, 1], "other_scenario", rules, seed_id)].value


def _draw(shares: Sequence[float], what: str, rules: PlanRules, name: str) -> int:
    return draw_index(shares, what, rules.random_seed, name)
