from pathlib import Path

import pytest

from assets.dialogues.questions import Question, read_questions
from assets.seeds.schema import SEEDS
from resources.lake.tables import Lake
from tests.lake_rows import seed_row


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("She sells 9 * 2 = $<<9*2=18>>18 a day.\n#### 18", "She sells 9 * 2 = $18 a day.\nThe answer is 18."),
        ("#### 1,200", "The answer is 1,200."),
        ("#### -3.5\n", "The answer is -3.5."),
        ("1. #### 16 is a heading\nof a kind", "1. #### 16 is a heading\nof a kind"),
        ("#### Plan\nBegin at 9.", "#### Plan\nBegin at 9."),
        ("cout << x >> y; a <<= b", "cout << x >> y; a <<= b"),
    ],
)
def test_prompts_show_references_without_the_marks_of_their_dataset(reference: str, shown: str) -> None:
    question = Question("id", "How many?", reference, None, "math")
    assert (question.shown_reference, question.reference) == (shown, reference)


def test_in_another_language_the_result_stands_alone() -> None:
    question = Question("id", "Wie viele?", "9 * 2 = 18\n#### 18", "18", "math", language="German")
    assert question.shown_reference == "9 * 2 = 18\n18"


@pytest.mark.parametrize(("facts", "language"), [({"language": "German"}, "German"), ({}, "English")])
def test_questions_have_the_language_of_their_shard(tmp_path: Path, facts: dict[str, str], language: str) -> None:
    lake = Lake.at(str(tmp_path / "lake"))
    row = seed_row("0" * 32, "sums-0000", "Wie viele?", "18", reference_final=None, system=None)
    lake.write(SEEDS, {"source": "sums", "shard": "sums-0000"}, SEEDS.frame([row]), fingerprint="1", facts=facts)
    (question,) = read_questions(lake, "sums", ["sums-0000"], {row["seed_id"]}).values()
    assert question.language == language
