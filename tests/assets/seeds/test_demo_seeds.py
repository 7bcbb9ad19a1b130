"""The seeds of the demo."""

import re
from pathlib import Path

import polars as pl
import pytest

from assets.seeds.configuration import load_seeds_configuration
from assets.seeds.intake import Intake, take_in
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake

SOURCES = load_seeds_configuration().source_names


@pytest.fixture(scope="module")
def intakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, Intake]]:
    lake = Lake.at(str(tmp_path_factory.mktemp("demo") / "lake"))
    configuration = load_seeds_configuration()
    return lake, {source: take_in(lake, configuration, source) for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES)
def test_every_row_becomes_a_seed_of_its_own(intakes: tuple[Lake, dict[str, Intake]], source: str) -> None:
    intake = intakes[1][source]
    assert (intake.added, intake.rejected, intake.duplicates) == (intake.rows, 0, 0)
    assert intake.rows >= 10


@pytest.mark.parametrize("source", SOURCES)
def test_every_final_answer_can_be_read_off(intakes: tuple[Lake, dict[str, Intake]], source: str) -> None:
    assert intakes[1][source].without_final == 0


def test_the_three_domains_are_there(intakes: tuple[Lake, dict[str, Intake]]) -> None:
    assert set(intakes[0].read(SEEDS)["domain"]) == {"math", "code", "general"}


def test_the_sums_are_right(intakes: tuple[Lake, dict[str, Intake]]) -> None:
    answers = intakes[0].read(SEEDS).filter(pl.col("domain") == "math")["answer"]
    equations = [match for answer in answers for match in re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", answer)]
    operations = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}
    assert len(equations) >= len(answers)
    assert all(operations[sign](int(left), int(right)) == int(result) for left, sign, right, result in equations)


def test_the_code_is_python(intakes: tuple[Lake, dict[str, Intake]]) -> None:
    for final in intakes[0].read(SEEDS).filter(pl.col("domain") == "code")["reference_final"]:
        compile(final, "seed", "eval")


def test_files_are_named_without_a_path_of_this_machine(intakes: tuple[Lake, dict[str, Intake]]) -> None:
    assert all(Path(name).name == name for name in intakes[0].read(SEEDS)["origin_file"])
