"""Ablations: the release's dialogues of some scenarios, the other seeds with their original answers (METHOD: Table 4).

Size and seeds are those of the release, so that only the dialogues differ. The fewer scenarios a set names, the fewer
dialogues it holds: `counts` in its manifest says how many.
"""

from collections.abc import Iterator, Mapping

from assets.boost_qa.assembly import Row, stream
from assets.boost_qa.release import Release
from assets.boost_qa.schema import RELEASE_ROW
from assets.framework.partitions import Scenario
from assets.training_sets.variants import (
    ORIGINAL,
    QUERIES,
    Source,
    TrainingSet,
    TrainingSetError,
    make_set,
    original_row,
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
        TrainingSetError: the release has no row of a scenario that it keeps, or none of those that it leaves out.
    """
    kept = ABLATIONS[variant]

    def rows(source: Source) -> Iterator[Row]:
        found = source.connection.execute("SELECT DISTINCT scenario FROM released").fetchall()
        _refuse_nothing(variant, release, {scenario for (scenario,) in found})
        sql = (QUERIES / "dialogues_with_pairs.sql").read_text(encoding="utf-8")
        for record in stream(source.connection, sql):
            told = record["scenario"] in kept
            source.counts[record["scenario"] if told else ORIGINAL] += 1
            yield {name: record[name] for name in RELEASE_ROW.columns} if told else original_row(record["pair"])

    return make_set(lake, release, variant, rows)


def _refuse_nothing(variant: str, release: Release, there: set[str]) -> None:
    kept = ABLATIONS[variant]
    if missing := sorted(kept - there):
        raise TrainingSetError(
            f"release {release.id} has no rows of {', '.join(missing)}, so {variant!r} would show nothing of it; "
            "teach and accept dialogues of that scenario, then release anew"
        )
    if there <= kept:
        raise TrainingSetError(
            f"release {release.id} has rows of {', '.join(sorted(there))} alone, so {variant!r} would be boost_qa "
            "itself; teach and accept dialogues of the other scenarios, then release anew"
        )
