"""Ablations: the release's dialogues of some scenarios, the other seeds with their original answers (METHOD: Table 4).

Size and seeds are those of the release, so that only the dialogues differ. The fewer scenarios a set names, the fewer
dialogues it has: `counts` in its manifest says how many.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import combinations

from assets.boost_qa.assembly import Row, stream
from assets.boost_qa.release import Release
from assets.boost_qa.schema import RELEASE_ROW
from assets.framework.partitions import NOT_TUNED, UNTUNED, VARIANTS
from assets.framework.scenarios.scenario import Scenarios
from assets.training_sets.variants import (
    ORIGINAL,
    RowContext,
    TrainingSet,
    TrainingSetError,
    make_set,
    original_row,
    query,
)
from resources.configuration import ConfigurationError, fault_list
from resources.lake.tables import Lake


def ablations(scenarios: Scenarios) -> dict[str, tuple[str, ...]]:
    """Each ablation's name to the scenarios that it keeps: one of them, or all but one.

    The name joins their short names: `me`, `db`, `ep`, `me_db`, `me_ep`, `db_ep`.

    Raises:
        ConfigurationError: another training set has one of these names.
    """
    sizes = sorted({1, len(scenarios) - 1} & set(range(1, len(scenarios))))
    kept = [one for size in sizes for one in combinations(scenarios, size)]
    names = ["_".join(scenarios[name].short_name for name in one) for one in kept]
    uses = Counter([*names, UNTUNED, *VARIANTS])
    faults = [
        f"{name!r} would be the training set of {' and '.join(map(scenarios.title, one))}, and is another set's name "
        "already; change the short_name of a scenario"
        for name, one in zip(names, kept, strict=True)
        if uses[name] > 1
    ]
    if faults:
        raise ConfigurationError(fault_list("two training sets would have one name:", faults))
    return dict(zip(names, kept, strict=True))


def variants(scenarios: Scenarios) -> tuple[str, ...]:
    """Every training set of a deployment. Raises as `ablations` does."""
    return (*VARIANTS, *ablations(scenarios))


def tuned_variants(scenarios: Scenarios) -> tuple[str, ...]:
    """The training sets that base models are tuned on. Raises as `ablations` does."""
    return tuple(variant for variant in variants(scenarios) if variant not in NOT_TUNED)


def make_ablation(lake: Lake, release: Release, variant: str, kept: Collection[str]) -> TrainingSet:
    """The set of one of `ablations`, which keeps the dialogues of the scenarios `kept`.

    Raises:
        TrainingSetError: the release has no row of a scenario that the set keeps, or of the others.
    """

    def rows(context: RowContext) -> Iterator[Row]:
        found = context.connection.execute("SELECT DISTINCT scenario FROM released").fetchall()
        _refuse_equal_sets(variant, set(kept), release, {scenario for (scenario,) in found})
        for record in stream(context.connection, query("dialogues_with_pairs.sql")):
            is_kept = record["scenario"] in kept
            context.counts[record["scenario"] if is_kept else ORIGINAL] += 1
            yield {name: record[name] for name in RELEASE_ROW.columns} if is_kept else original_row(record["pair"])

    titles = ", ".join(name.replace("_", " ") for name in kept)
    about = f"The dialogues of {titles}, and the original answers of the release's other seeds."
    return make_set(lake, release, variant, about, rows)


def _refuse_equal_sets(variant: str, kept: set[str], release: Release, found: set[str]) -> None:
    """Raise where the set would say nothing: a scenario that it keeps has no rows, or it would equal `boost_qa`."""
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
