"""The card of a training set, made with the parts of a release's card."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from assets.boost_qa.dataset_card import card_header, card_table, how_to_load, splits_of, write_readme
from assets.boost_qa.forms import RowForm
from assets.boost_qa.release import Release, create_view
from assets.boost_qa.selection import query
from assets.framework.check_files import query_rows

TEMPLATE = Path(__file__).with_name("card.md")


def write_set_card(
    staged: Path,
    variant: str,
    about: str,
    release: Release,
    folder: str,
    languages: Sequence[str],
    form: RowForm,
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
    """
    with duckdb.connect() as connection:
        create_view(connection, "released", form.schema, map(str, sorted((staged / "data").glob("*.parquet"))))
        rows, sources = (list(query_rows(connection, query(name))) for name in ("counts.sql", "sources.sql"))
    write_readme(
        staged,
        card_header(_title(variant, release), rows, sources, languages),
        TEMPLATE,
        title=_title(variant, release),
        about=about,
        variant=variant,
        release=release.id,
        loading=how_to_load(folder, variant, splits_of(rows)),
        contents=f"{card_table(rows)}\n\n{card_table(sources)}",
    )


def write_release_card(staged: Path, variant: str, release: Release) -> None:
    """Write `README.md` into a staged training set that points to its release and has no rows of its own."""
    write_readme(
        staged,
        None,
        TEMPLATE,
        title=_title(variant, release),
        about="The release itself: this folder only points to it.",
        variant=variant,
        release=release.id,
        loading=how_to_load(release.folder, str(release.manifest["name"]), list(release.manifest["rows"])),
        contents=f"The rows of the release. Its card is `{release.folder}/README.md`.",
    )


def _title(variant: str, release: Release) -> str:
    return f"{release.manifest['configuration']['rules']['pretty_name']}: {variant}"
