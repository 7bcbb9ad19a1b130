"""docs/configuration.md is written from the code."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from assets.boost_qa.configuration import ReleaseRules
from assets.dialogue_plans.configuration import PlanRules
from assets.quality.configuration import QualityRules
from assets.seeds.configuration import SeedsConfiguration
from master_dagster.cli.settings_reference import document
from master_dagster.settings import Settings
from resources.chat.profile import Profile

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
ROWS = [re.split(r"(?<!\\)\|", line)[1:-1] for line in document().splitlines() if line.startswith("| `")]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "run `make docs`"


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_every_setting_is_on_the_page(setting: str) -> None:
    assert f"`MASTER_{setting.upper()}`" in document()


@pytest.mark.parametrize("model", [SeedsConfiguration, Profile, PlanRules, QualityRules, ReleaseRules])
def test_every_key_of_every_file_is_on_the_page(model: type[BaseModel]) -> None:
    assert [key for key in model.model_fields if f"| `{key}` |" not in document()] == []


def test_every_row_has_four_cells() -> None:
    assert {len(row) for row in ROWS} == {4}


def test_every_key_says_what_it_means() -> None:
    assert [row[0].strip() for row in ROWS if not row[3].strip()] == []


def test_no_cell_shows_the_insides_of_python() -> None:
    cells = "\n".join(cell for row in ROWS for cell in row)
    assert not re.search(r"\bdict\b|\btuple\b|\bobject\b|Path\(|``|\bNone\b|\bTrue\b|\bFalse\b|_Role", cells)
