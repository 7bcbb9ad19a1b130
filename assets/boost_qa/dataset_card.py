"""What the cards of releases and of training sets share: the YAML header, how to load the rows, tables."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import yaml

from assets.boost_qa.forms import CONVERSATION, RowForm
from assets.framework.languages import ENGLISH, language_code
from assets.framework.ui_metadata import table_markdown

LOADING = Path(__file__).parent / "loading.md"
PROGRAMS = Path(__file__).parent / "programs"  # how other programs read the rows, by form
# The licences of question-answer data that the hub accepts as `license` in a card's header.
KNOWN_LICENCES = {
    *("mit", "apache-2.0", "bsd-3-clause", "gpl-3.0", "odc-by", "unknown"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-sa-3.0"),
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LONGEST_CELL = 400  # characters
Table = list[dict[str, Any]]


def card_header(
    title: str,
    rows: Table,
    sources: Table,
    languages: Sequence[str] = (ENGLISH,),
    tags: Sequence[str] = (),
    form: RowForm = CONVERSATION,
) -> dict[str, Any]:
    """The YAML header that the hub and `datasets.load_dataset(<folder>)` read. It lists only splits with rows.

    `datasets` reads all configurations of a folder by the format of the first, so only Parquet is listed.

    Args:
        title: of the data set.
        rows: `split` and the number of `rows`, of each split once or more.
        sources: each with a `licence`.
        languages: of the seeds.
        tags: for the hub.
        form: of the rows.
    """
    licences = sorted({str(row["licence"]).lower() for row in sources})
    unknown = [licence for licence in licences if licence not in KNOWN_LICENCES]
    named = [licence for licence in licences if licence in KNOWN_LICENCES]
    header: dict[str, Any] = {
        "pretty_name": title,
        "language": sorted(language_code(language) for language in languages),
        "license": [*named, "other"] if unknown else named,
    }
    if unknown:
        header["license_name"] = ", ".join(unknown)
    total = sum(int(row["rows"]) for row in rows)
    return header | {
        "size_categories": [next((name for size, name in SIZES if total < size), "n>1M")],
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", *(["sharegpt"] if form == CONVERSATION else []), *tags],
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": split, "path": path.format(split)} for split in splits_of(rows)],
            }
            for name, path in _configurations(form).items()
        ],
    }


def _configurations(form: RowForm) -> dict[str, str]:
    """The Parquet files of each configuration that `datasets` loads, `{}` for the split."""
    exports = {name: f"{name}/{{}}.parquet" for name, export in form.exports.items() if export.arrow}
    return {"default": "data/{}-*.parquet", **exports}


def splits_of(rows: Table) -> list[str]:
    """The splits of some rows, in their order."""
    return list(dict.fromkeys(row["split"] for row in rows))


def how_to_load(
    folder: str,
    name: str,
    splits: Sequence[str],
    form: RowForm = CONVERSATION,
    *,
    weak_turns: bool = False,
    last_turn_alone: bool = False,
) -> str:
    """The card's section on loading the rows with `datasets` and with the programs that read the form.

    Args:
        folder: of the files, relative to the lake's root.
        name: in `dataset_info.json`.
        splits: those with rows.
        form: of the rows.
        weak_turns: whether some turns that carry loss are of a weak student.
        last_turn_alone: whether of several turns of the model the last one alone carries loss.
    """
    values = {
        "folder": folder,
        "name": name,
        "splits": json.dumps(splits),
        "mask_history": str(last_turn_alone).lower(),
        "weak_turns": " (as the paper does, the weak student's wrong answers included)" if weak_turns else "",
    }
    programs = Template((PROGRAMS / f"{form.name}.md").read_text(encoding="utf-8")).substitute(values)
    return Template(LOADING.read_text(encoding="utf-8")).substitute(values, programs=programs)


def card_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of a card; its cells are escaped."""
    return table_markdown(rows, limit=40, longest=LONGEST_CELL).md_str or ""


def write_readme(folder: Path, header: Mapping[str, Any] | None, template: Path, **values: str) -> None:
    """Write `README.md` into a staged folder: the header, where there is one, and the template's text.

    A part of the text that is empty leaves no blank lines.
    """
    body = Template(template.read_text(encoding="utf-8")).substitute(values)
    block = f"---\n{yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)}---\n\n" if header else ""
    (folder / "README.md").write_text(block + re.sub(r"\n{3,}", "\n\n", body), encoding="utf-8")
