"""The card of a training set, made with the parts of a release's card."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from assets.boost_qa.dataset_card import card_header, card_table, how_to_load, splits_of, write_readme
from assets.boost_qa.forms import CONVERSATION, LABELLED, PREFERENCE, RowForm
from assets.boost_qa.release import Release, create_view
from assets.boost_qa.selection import query
from assets.framework.check_files import query_rows
from assets.training_sets.pair_statistics import MUCH_LONGER, pair_statistics

TEMPLATE = Path(__file__).with_name("card.md")
LABELS = "SELECT split, label, count(*) AS rows FROM released GROUP BY ALL ORDER BY ALL"
LAST_TURN_ALONE = """
    SELECT coalesce(bool_and(list_position(trains, true) = len(trains)) AND max(len(trains)) > 2, false) AS alone
    FROM released
"""
COMPARED = (
    "The training sets that BOOST-QA is compared with have the release's size and its held-out splits, so that models "
    "tuned on them can be compared."
)


def write_set_card(
    staged: Path,
    variant: str,
    about: str,
    release: Release,
    folder: str,
    languages: Sequence[str],
    form: RowForm,
    *,
    same_size: bool,
) -> None:
    """Write `README.md` into a staged training set with rows of its own.

    Args:
        staged: the set, with `data/*.parquet`.
        variant: its name.
        about: what it is, in one sentence.
        release: that it is made from.
        folder: where it will be, relative to the lake's root.
        languages: of its seeds.
        form: of its rows.
        same_size: whether it has the release's size and splits.
    """
    with duckdb.connect() as connection:
        create_view(connection, "released", form.schema, map(str, sorted((staged / "data").glob("*.parquet"))))
        rows, sources = (list(query_rows(connection, query(name))) for name in ("counts.sql", "sources.sql"))
        more = _of_form(connection, form)
        last_turn_alone = form == CONVERSATION and bool(next(iter(query_rows(connection, LAST_TURN_ALONE)))["alone"])
    write_readme(
        staged,
        card_header(_title(variant, release), rows, sources, languages, form=form),
        TEMPLATE,
        title=_title(variant, release),
        about=about,
        variant=variant,
        release=release.id,
        loading=how_to_load(folder, variant, splits_of(rows), form, last_turn_alone=last_turn_alone),
        compared=COMPARED if same_size else "",
        contents="\n\n".join([card_table(rows), card_table(sources), *more]),
    )


def _of_form(connection: duckdb.DuckDBPyConnection, form: RowForm) -> list[str]:
    """What the card says beside the numbers of rows."""
    if form == PREFERENCE:
        found = pair_statistics(connection)
        shown = {
            "AUC: a chosen answer is longer than a rejected one (0.50: no difference)": f"{found['length_auc']:.2f}",
            "answers whose role shows whether they are chosen (50%: no difference)": f"{found['role_accuracy']:.0%}",
            f"pairs with a chosen answer as long as {MUCH_LONGER} rejected ones": str(found["much_longer"]),
        }
        advice = "Select pairs by `chosen_role` and `rejected_role`; the roles of two debaters show nothing."
        return [card_table([{"measure": what, "value": value} for what, value in shown.items()]), advice]
    if form == LABELLED:
        return [card_table(list(query_rows(connection, LABELS)))]
    return []


def write_release_card(staged: Path, variant: str, release: Release) -> None:
    """Write `README.md` into a staged training set that points to its release and has no rows of its own."""
    name, rules = str(release.manifest["name"]), release.manifest["configuration"]["rules"]
    loading = how_to_load(
        release.folder, name, list(release.manifest["rows"]), last_turn_alone=rules.get("loss") == "final"
    )
    write_readme(
        staged,
        None,
        TEMPLATE,
        title=_title(variant, release),
        about="The release itself: this folder only points to it.",
        variant=variant,
        release=release.id,
        loading=loading,
        compared=COMPARED,
        contents=f"The rows of the release. Its card is `{release.folder}/README.md`.",
    )


def _title(variant: str, release: Release) -> str:
    return f"{release.manifest['configuration']['rules']['pretty_name']}: {variant}"
