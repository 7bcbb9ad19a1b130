"""`master-dagster show`."""

import json
from collections import Counter
from typing import Any

import polars as pl
import pytest

from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from master_dagster.cli.chat import ShownDialogue, print_chat
from master_dagster.cli.show import best_dialogue, show_best
from master_dagster.terminal import console
from resources.lake.records import PartitionRecord
from resources.lake.tables import Lake
from tests.command_line import output_of, run_command, set_environment
from tests.sample_project import FinishedProject, SampleProject

pytestmark = pytest.mark.end_to_end
Output = pytest.CaptureFixture[str]


@pytest.fixture
def lake(finished: FinishedProject, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The finished lake, which the environment names."""
    set_environment(finished.project, monkeypatch)
    return finished.project.deployment.lake()


def reject(lake: Lake, score: float) -> str:
    """Reject one dialogue of the lake with this score. Returns its id."""
    record = lake.records(SCORED)[0]
    rows = lake.read(SCORED, [record.keys])
    name = str(rows["dialogue_id"][1])
    this = pl.col("dialogue_id") == name
    changed = rows.with_columns(
        accepted=pl.col("accepted") & ~this,
        quality_score=pl.when(this).then(score).otherwise("quality_score"),
        rejection_reasons=pl.when(this).then(pl.lit(["wrong_step"])).otherwise("rejection_reasons"),
    )
    dialogues = lake.record(DIALOGUES, record.keys)
    lake.write(SCORED, record.keys, changed, fingerprint=record.fingerprint, made_from=dialogues)
    return name


def test_the_beginning_of_an_id_is_enough(lake: Lake, capsys: Output) -> None:
    row = lake.read(DIALOGUES).row(0, named=True)
    assert run_command("show", row["dialogue_id"][:8]) == 0
    shown = output_of(capsys)
    for part in ("Question", "Reference answer", "carries loss", "accepted, score", "in release", row["dialogue_id"]):
        assert part in shown
    assert f"{row['scenario']}|{row['shard']}" in shown


def test_without_an_id_the_best_accepted_dialogue_is_shown(lake: Lake, capsys: Output) -> None:
    best = lake.read(SCORED).sort("quality_score", "dialogue_id", descending=[True, False])["dialogue_id"][0]
    assert run_command("show", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["dialogue_id"] == shown["dialogue"]["dialogue_id"] == best
    assert shown["scores"]["accepted"] is True
    assert shown["questions"][0]["seed_id"] == shown["dialogue"]["seed_id"]


def test_the_worst_rejected_dialogue_is_shown_with_its_reasons(
    finished_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(finished_project, monkeypatch)
    name = reject(finished_project.deployment.lake(), 0.25)
    assert run_command("show", "--rejected") == 0
    shown = output_of(capsys)
    assert name in shown
    assert "rejected, score 0.25" in shown
    assert "wrong_step: the judge finds a wrong step" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zz"], "has an id that begins with 'zz'; an id looks like "),
        (["ffffffffff"], "has an id that begins with 'ffffffffff'; an id looks like "),
        (["--rejected"], "no dialogue of the lake at"),
    ],
    ids=["not an id", "unknown", "nothing is rejected"],
)
def test_a_dialogue_that_is_not_there_is_one_message(
    lake: Lake, capsys: Output, arguments: list[str], message: str
) -> None:
    assert run_command("show", *arguments) == 1
    assert message in output_of(capsys)


def test_a_beginning_that_several_ids_share_is_one_message(lake: Lake, capsys: Output) -> None:
    digits = Counter(name[0] for name in lake.read(DIALOGUES)["dialogue_id"])
    digit, number = digits.most_common(1)[0]
    assert number > 1
    assert run_command("show", digit) == 1
    assert f"several dialogues begin with {digit}: {digit}" in output_of(capsys)


def test_an_empty_lake_is_one_message(project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    set_environment(project, monkeypatch)
    for arguments in ([], ["3f9a"]):
        assert run_command("show", *arguments) == 1
        assert "run `master-dagster run`" in output_of(capsys)


def generate_again(lake: Lake, record: PartitionRecord, kept: int | None = None) -> str:
    """Write other dialogues, `kept` of those that were there, without scoring them. Returns the id of the first."""
    rows = lake.read(DIALOGUES, [record.keys]).with_columns(generation=pl.lit(1, pl.Int32)).slice(0, kept)
    lake.write(DIALOGUES, record.keys, rows, fingerprint="other")
    return str(rows["dialogue_id"][0]) if rows.height else ""


def test_scores_of_other_dialogues_are_not_shown(
    finished_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(finished_project, monkeypatch)
    lake = finished_project.deployment.lake()
    name = generate_again(lake, lake.records(DIALOGUES)[0])
    assert run_command("show", name) == 0
    assert "not judged" in output_of(capsys)


def test_the_best_and_the_worst_are_among_the_dialogues_that_are_there(
    finished_project: SampleProject, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    set_environment(finished_project, monkeypatch)
    lake = finished_project.deployment.lake()
    reject(lake, 0.25)
    rejected, *others = lake.records(SCORED)
    best = lake.read(SCORED, [record.keys for record in others]).sort(
        "quality_score", "dialogue_id", descending=[True, False]
    )
    generate_again(lake, rejected, kept=0)
    assert best_dialogue(lake).dialogue["dialogue_id"] == best["dialogue_id"][0]
    assert run_command("show", "--rejected") == 1
    assert "is rejected yet" in output_of(capsys)
    for record in others:
        generate_again(lake, record)
    assert run_command("show") == 1
    assert "is scored yet" in output_of(capsys)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07end", "red end"),
        ("[bold]as it is[/bold] [/unopened]", "[bold]as it is[/bold] [/unopened]"),
        ("a\u202eb\x9b2Jc", "abc"),
        (":smile:", ":smile:"),
    ],
    ids=["escape sequences", "markup", "direction and C1", "emoji codes"],
)
def test_what_models_and_seeds_say_changes_no_terminal(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: Output, text: str, printed: str
) -> None:
    monkeypatch.setattr(console, "_width", 200)
    best = best_dialogue(lake)
    dialogue: dict[str, Any] = {**best.dialogue, "turns": [{**best.dialogue["turns"][0], "text": text}]}
    scores = {**(best.scores or {}), "judge_reason": text, "judge_model": text}
    print_chat(ShownDialogue(dialogue, scores, best.questions))
    shown = output_of(capsys)
    assert shown.count(printed) == 3
    assert not set("\x1b\x07\x9b\u202e") & set(shown)


def test_a_dialogue_that_was_set_aside_is_shown_with_the_reason_once(lake: Lake, capsys: Output) -> None:
    best = best_dialogue(lake)
    dialogue = {**best.dialogue, "status": "set_aside", "status_reason": "cut_off: turn 3"}
    scores = {**(best.scores or {}), "accepted": False, "rejection_reasons": ["set_aside"]}
    print_chat(ShownDialogue(dialogue, scores, best.questions))
    shown = output_of(capsys)
    assert "set aside: cut_off: turn 3" in shown
    assert "set_aside" not in shown


def test_the_end_of_a_run_shows_the_best_dialogue(lake: Lake, capsys: Output) -> None:
    show_best(lake)
    assert "The best accepted dialogue:" in output_of(capsys)
