"""Ablations: the release's dialogues of some scenarios, the other seeds with their original answers (METHOD: Table 4).

Size and seeds are those of the release, so that only the dialogues differ. The fewer scenarios a set names, the fewer
dialogues it has: `counts` in its manifest says how many.
"""

from collections.abc import Iterator, Mapping

from assets.boost_qa.assembly import Row, stream
from assets.boost_qa.release import Release
from assets.boost_qa.schema import RELEASE_ROW
from assets.framework.partitions import Scenario
from assets.training_sets.variants import (
    ORIGINAL,
    RowContext,
    TrainingSet,
    TrainingSetError,
    make_set,
    original_row,
    query,
)
from resources.lake.tables import Lake

_NAMES = {"me": Scenario.ERROR_CORRECTION, "db": Scenario.DEBATE, "ep": Scenario.ANALOGY}
ABLATIONS: Mapping[str, frozenset[str]] = {
    variant: frozenset(_NAMES[name].value for name in variant.split("_"))
    for variant in ("me", "db", "ep", "me_db", "me_ep", "db_ep")
}


def make_ablation(lake: Lake, release: Release, variant: str) -> TrainingSet:
    """The set of one of `ABLATIONS`.

    Raises:
        TrainingSetError: the release has no row of a scenario that the set keeps, or of the others.
    """
    kept = ABLATIONS[variant]

    def rows(context: RowContext) -> Iterator[Row]:
        found = context.connection.execute("SELECT DISTINCT scenario FROM released").fetchall()
        _refuse_equal_sets(variant, release, {scenario for (scenario,) in found})
        for record in stream(context.connection, query("dialogues_with_pairs.sql")):
            is_kept = record["scenario"] in kept
            context.counts[record["scenario"] if is_kept else ORIGINAL] += 1
            yield {name: record[name] for name in RELEASE_ROW.columns} if is_kept else original_row(record["pair"])

    return make_set(lake, release, variant, rows)


def _refuse_equal_sets(variant: str, release: Release, found: set[str]) -> None:
    """Raise where the set would say nothing: a scenario that it keeps has no rows, or it would equal `boost_qa`."""
    kept = ABLATIONS[variant]
    if missing := sorted(kept - found):
        raise TrainingSetError(
            f"release {release.id} has no rows of {', '.join(missing)}, so {variant!r} would show nothing of it; "
            "make dialogues of that scenario, then materialise boost_qa again"
        )
    if found <= kept:
        raise TrainingSetError(
            f"release {release.id} has only rows of {', '.join(sorted(found))}, so {variant!r} would equal boost_qa; "
            "make dialogues of the other scenarios, then materialise boost_qa again"
        )
