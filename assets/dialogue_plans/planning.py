"""Dialogue plans: split, scenario, drawn number and similar question of every seed (METHOD: the scenarios).

Every draw is a hash of the seed and the rules' random seed, so it does not depend on which other seeds are planned. A
written plan never changes: its shard is never planned again. Later plans give its near-duplicates and its partner the
same split, also under other rules.

A seed is the first question of an analogy or the similar question of others, never both: the similar questions are
drawn from the seeds that ask for none (METHOD: analogy).
"""

from collections.abc import Collection, Sequence
from contextlib import suppress

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.dialogue_plans.configuration import PlanRules
from assets.dialogue_plans.retrieval import nearest
from assets.dialogue_plans.schema import DIALOGUE_PLANS, SPLIT_NAMES
from assets.framework.scenarios.scenario import Scenarios
from assets.seeds.schema import EMBEDDINGS, SEEDS
from assets.seeds.shards import source_shards
from resources.identity import draw_index, draw_one, stable_hash
from resources.lake.tables import AlreadyWritten, Lake

PLANNED_FROM = ["seed_id", "source", "shard", "reading", "domain", "representative"]
DECIDED = ["seed_id", "representative", "split", "drawn_scenario", "partner_seed_id"]


class PlanError(RuntimeError):
    """Shards cannot be planned. The message says what is missing and what to materialise."""


def plan_shards(
    lake: Lake,
    source: str,
    shards: Sequence[str],
    scenarios: Scenarios,
    rules: PlanRules,
    retracted: Collection[str] = frozenset(),
) -> list[str]:
    """Plan the given shards of one source and write the plans. Shards that have plans already do not change.

    Args:
        lake: the lake with the source's seeds and embeddings.
        source: the source.
        shards: the shards to plan.
        scenarios: among which a scenario is drawn for each seed.
        rules: shares and retrieval.
        retracted: retracted seeds, which are never a partner.

    Returns:
        The shards whose plans were written now.

    Raises:
        PlanError: a shard has no seeds, or embeddings are missing or come from several embedders.
    """
    new = [shard for shard in shards if lake.record(DIALOGUE_PLANS, {"shard": shard}) is None]
    if not new:
        return []
    plans, embedder = draw_shards(lake, source, new, scenarios, rules, retracted)
    written = []
    for shard in new:
        rows = plans.filter(pl.col("shard") == shard)
        facts = {"rules": rules.identity, "embedder": embedder}
        fingerprint = stable_hash(
            "lesson_plans", rows.rows()
        )  # the table's former name, which is part of existing fingerprints
        with suppress(AlreadyWritten):  # another run was faster: its plans are valid
            lake.write(DIALOGUE_PLANS, {"shard": shard}, rows, fingerprint=fingerprint, facts=facts, once=True)
            written.append(shard)
    return written


def draw_shards(
    lake: Lake,
    source: str,
    shards: Sequence[str],
    scenarios: Scenarios,
    rules: PlanRules,
    retracted: Collection[str] = frozenset(),
) -> tuple[pl.DataFrame, str | None]:
    """Rows of `dialogue_plans` for shards that have none, without writing them, and the embedder that found partners.

    Arguments and errors are those of `plan_shards`.
    """
    written_shards = source_shards(lake, source)
    unknown = sorted(set(shards) - set(written_shards))
    if unknown:
        raise PlanError(f"raw_seeds has no shard {', '.join(unknown)}; materialise raw_seeds for {source} first")
    seeds = lake.read(SEEDS, [{"source": source, "shard": shard} for shard in written_shards], PLANNED_FROM)
    decided = lake.read(DIALOGUE_PLANS, [{"shard": shard} for shard in written_shards], DECIDED)
    seeds = order_seeds(seeds, decided_splits(decided, seeds), rules)
    plans = draw_plans(seeds, shards, scenarios, rules, decided["partner_seed_id"].drop_nulls())
    askers = plans.filter(pl.col("scenario").is_in(scenarios.paired))["row"].to_numpy()
    embedder = None
    if askers.size:
        vectors, embedder = read_vectors(lake, source, written_shards, seeds)
        excluded = first_questions(seeds, decided, scenarios, rules) | seeds["seed_id"].is_in(list(retracted))
        plans = draw_partners(plans, seeds, vectors, askers, scenarios, rules, excluded.to_numpy())
    return draw_repetitions(plans, scenarios, rules).select(*DIALOGUE_PLANS.columns), embedder


def decided_splits(decided: pl.DataFrame, seeds: pl.DataFrame) -> pl.DataFrame:
    """`representative` and `split` of the groups that a written plan has decided: of its seed and of its partner.

    Args:
        decided: the columns `DECIDED` of the written plans.
        seeds: those of the source.
    """
    partners = decided.select(seed_id="partner_seed_id", split="split").drop_nulls().unique()
    of_partners = partners.join(seeds.select("seed_id", "representative"), on="seed_id")
    splits = pl.concat([of_partners.select("representative", "split"), decided.select("representative", "split")])
    return splits.unique("representative", keep="last", maintain_order=True)


def order_seeds(seeds: pl.DataFrame, decided: pl.DataFrame, rules: PlanRules) -> pl.DataFrame:
    """Seeds with their `split`, ordered by split and reading, and with `lake_row`, their row in the order of the lake.

    The possible partners of a seed are of its split and of its own or an earlier reading: consecutive rows.

    Args:
        seeds: in the order of the lake.
        decided: as from `decided_splits`.
        rules: shares of the splits for the other seeds.
    """
    drawn = pl.col("representative").map_elements(
        lambda name: SPLIT_NAMES[_draw(list(rules.splits.shares.values()), "split", rules, name)],
        return_dtype=pl.String,
    )
    of_representative = (
        seeds.select(pl.col("representative").unique(maintain_order=True))
        .join(decided, on="representative", how="left", maintain_order="left")
        .with_columns(pl.coalesce("split", drawn))
    )
    return (
        seeds.with_row_index("lake_row")
        .join(of_representative, on="representative", how="left", maintain_order="left")
        .sort("split", "reading", maintain_order=True)
        .with_row_index("row")
    )


def draw_plans(
    seeds: pl.DataFrame,
    shards: Collection[str],
    scenarios: Scenarios,
    rules: PlanRules,
    partners: Collection[str] = (),
) -> pl.DataFrame:
    """The scenario of each seed of `shards`, in the order of the lake, without partners and repetitions.

    `partners` are the similar questions of written plans. One that draws a scenario with a similar question, as it can
    under other rules than those of its asker, gets another scenario.
    """
    plans = seeds.filter(pl.col("shard").is_in(list(shards))).sort("lake_row")
    drawn = _drawn_scenarios(plans["seed_id"], scenarios, rules)
    paired, used = scenarios.paired, set(partners)
    decided = [
        _other_scenario(scenarios, rules, seed_id) if scenario in paired and seed_id in used else scenario
        for seed_id, scenario in zip(plans["seed_id"], drawn, strict=True)
    ]
    return plans.with_columns(
        drawn_scenario=drawn,
        scenario=pl.Series(decided, dtype=pl.String),
        partner_seed_id=pl.lit(None, pl.String),
        partner_similarity=pl.lit(None, pl.Float32),
    )


def first_questions(seeds: pl.DataFrame, decided: pl.DataFrame, scenarios: Scenarios, rules: PlanRules) -> pl.Series:
    """Whether each seed is the first question of a scenario with a similar question, by its written plan or its draw.

    A seed counts also where its plan found no similar question, so that the order of planning makes no difference.

    Args:
        seeds: those of the source.
        decided: the columns `DECIDED` of the written plans.
        scenarios: among which a scenario is drawn for the seeds without a plan.
        rules: their shares.
    """
    paired = scenarios.paired
    asked = decided.filter(pl.col("drawn_scenario").is_in(paired) | pl.col("partner_seed_id").is_not_null())
    unplanned = seeds.filter(~pl.col("seed_id").is_in(decided["seed_id"].implode()))["seed_id"]
    will_ask = unplanned.filter(_drawn_scenarios(unplanned, scenarios, rules).is_in(paired))
    return seeds["seed_id"].is_in(pl.concat([asked["seed_id"], will_ask]).implode())


def draw_partners(
    plans: pl.DataFrame,
    seeds: pl.DataFrame,
    vectors: NDArray[np.float32],
    askers: NDArray[np.uint32],
    scenarios: Scenarios,
    rules: PlanRules,
    excluded: NDArray[np.bool_],
) -> pl.DataFrame:
    """Draw the similar question of each plan that needs one among its nearest neighbours; without any, draw a scenario
    that needs none.

    Args:
        plans: as from `draw_plans`.
        seeds: as from `order_seeds`.
        vectors: unit vectors in the order of `seeds`, shape (seeds, dimensions).
        askers: rows of `seeds` that need a similar question.
        scenarios: see `plan_shards`.
        rules: number and least similarity of neighbours.
        excluded: whether each row of `seeds` is never a partner, shape (seeds,).
    """
    names = seeds["seed_id"]
    groups = seeds["representative"].rank("dense").to_numpy().astype(np.int32)
    drawn = dict(plans.select("row", "drawn_scenario").iter_rows())
    decided: list[tuple[int, str, str | None, float | None]] = []
    for (split, reading), rows in seeds[askers].group_by("split", "reading", maintain_order=True):
        in_split = (seeds["split"] == split).arg_true()
        size = int((seeds["reading"].gather(in_split) <= reading).sum())
        pool = slice(int(in_split[0]), int(in_split[0]) + size)
        queries = rows["row"].to_numpy().astype(np.int64)
        found, similarities = nearest(vectors, queries, pool, groups, rules.neighbours, excluded)
        for row, candidates, scores in zip(queries.tolist(), found, similarities, strict=True):
            near = {
                names[candidate]: score
                for candidate, score in zip(candidates.tolist(), scores.tolist(), strict=True)
                if candidate >= 0 and score >= rules.min_similarity
            }
            if near:
                # The order of the names does not depend on rounding, which differs between machines.
                partner = draw_one(sorted(near), "partner", rules.random_seed, names[row])
                decided.append((row, drawn[row], partner, near[partner]))
            else:
                decided.append((row, _other_scenario(scenarios, rules, names[row]), None, None))
    columns = {
        "row": pl.UInt32,
        "scenario": pl.String,
        "partner_seed_id": pl.String,
        "partner_similarity": pl.Float32,
    }
    return plans.update(pl.DataFrame(decided, schema=columns, orient="row"), on="row")


def draw_repetitions(plans: pl.DataFrame, scenarios: Scenarios, rules: PlanRules) -> pl.DataFrame:
    """Plans with `repetitions`: the number that the scenario draws for each, null where it draws none."""
    draws = {name: rules.draw(scenario) for name, scenario in scenarios.items()}

    def drawn(scenario: str, seed_id: str) -> int | None:
        if (found := draws[scenario]) is None:
            return None
        name, shares = found
        return list(shares)[_draw(list(shares.values()), name, rules, seed_id)]

    values = [drawn(scenario, seed_id) for scenario, seed_id in plans.select("scenario", "seed_id").iter_rows()]
    return plans.with_columns(repetitions=pl.Series(values, dtype=pl.Int8))


def read_vectors(
    lake: Lake, source: str, shards: Sequence[str], seeds: pl.DataFrame
) -> tuple[NDArray[np.float32], str]:
    """The unit vectors of a source's seeds in the order of `seeds`, shape (seeds, dimensions), and their embedder.

    They are read shard by shard, so that only one copy of the vectors is in memory.

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
                f"{source}: its embeddings are not of one embedder: {found}; vectors of lengths {vectors.shape[1]} and "
                f"{dimensions}; materialise seed_embeddings for {source} again with one embedder"
            )
        rows_of_part = part["row"].to_numpy()
        vectors[rows_of_part] = part["vector"].list.to_array(dimensions[0]).to_numpy()
        filled[rows_of_part] = True
    if vectors is None or not filled.all():
        raise PlanError(
            f"{source}: {int((~filled).sum())} of {seeds.height} seeds have no embedding; "
            f"materialise seed_embeddings for {source} first"
        )
    return vectors, next(iter(embedders))


def _drawn_scenarios(seed_ids: pl.Series, scenarios: Scenarios, rules: PlanRules) -> pl.Series:
    names, shares = zip(*rules.scenario_shares(scenarios).items(), strict=True)
    return pl.Series([names[_draw(shares, "scenario", rules, seed_id)] for seed_id in seed_ids], dtype=pl.String)


def _other_scenario(scenarios: Scenarios, rules: PlanRules, seed_id: str) -> str:
    """A scenario that needs no similar question, by the shares; one of the others where there is none."""
    shares = rules.scenario_shares(scenarios)
    others = [name for name, scenario in scenarios.items() if not scenario.needs_partner]
    given = [shares[name] for name in others]
    return others[_draw(given if sum(given) else [1] * len(others), "other_scenario", rules, seed_id)]


def _draw(shares: Sequence[float], what: str, rules: PlanRules, name: str) -> int:
    return draw_index(shares, what, rules.random_seed, name)
