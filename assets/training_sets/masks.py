"""The release's rows with loss on fewer turns, to compare masks at equal rows."""

from collections.abc import Iterator, Mapping

from assets.boost_qa.assembly import Row, trained_turns
from assets.boost_qa.configuration import Loss
from assets.boost_qa.release import Release
from assets.boost_qa.schema import RELEASE_ROW
from assets.framework.scenarios.scenario import Scenarios
from assets.training_sets.turns import TABLES, made_from, released_dialogues
from assets.training_sets.variants import UNTRAINED, NothingToMake, RowContext, TrainingSet, make_set
from resources.lake.tables import Lake

MASKS: Mapping[str, Loss] = {"boost_qa_unless_wrong": "unless_wrong", "boost_qa_final": "final"}
"""Which turns of a set carry loss, see `ReleaseRules.loss`."""
WHICH = {
    "unless_wrong": "every gpt turn but answers that a rule found wrong",
    "final": "the last gpt turn alone",
}


def make_masked(lake: Lake, release: Release, variant: str, scenarios: Scenarios) -> TrainingSet:
    """The set of one of `MASKS`. A row without a turn that carries loss is left out and counted.

    Raises:
        NothingToMake: it would equal the release.
    """
    loss = MASKS[variant]
    if release.manifest["configuration"]["rules"].get("loss", "all") == loss:
        raise NothingToMake(
            f"release {release.id} itself has loss on {WHICH[loss]} (loss: {loss} in its rules), so {variant!r} would "
            "equal boost_qa"
        )

    def rows(context: RowContext) -> Iterator[Row]:
        for dialogue in released_dialogues(context, scenarios):
            turns = dialogue.row["turns"]
            flags = trained_turns([turn["side"] == "gpt" and turn["trains"] for turn in turns], turns, loss)
            context.counts[f"{sum(flags)} of {len(flags)} turns" if any(flags) else UNTRAINED] += 1
            if any(flags):
                row = {**dialogue.row, "id": dialogue.row["dialogue_id"], "trains": flags}
                yield {name: row[name] for name in RELEASE_ROW.columns}

    about = (
        f"The rows of the release with loss on {WHICH[loss]}. A program that does not read the flags trains them as "
        "those of the release."
    )
    return make_set(lake, release, variant, about, rows, made_from(lake, release, scenarios), tables=TABLES)
