"""`master-dagster init`."""

import csv
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.seeds.configuration import load_seeds_configuration
from resources.chat.profile import load_profile
from tests.command_line import PROJECT, Terminal, output_of, run_command
from tests.fake_endpoint import FakeEndpoint
from tests.sample_project import play, question

Output = pytest.CaptureFixture[str]

SUMS = [question(number) for number in range(12)]
CODE = [
    {
        "instruction": f"Write a function that adds {n} to a number.",
        "input": "",
        "output": f"def f(x):\n    return x + {n}",
    }
    for n in range(5)
]
CHATS = [
    {"messages": [{"role": "user", "content": f"Wie hoch ist der Turm Nummer {n} in der Stadt am Fluss?"},
                  {"role": "assistant", "content": "Der Turm ist sehr hoch, und man sieht ihn von weitem."}]}
    for n in range(5)
]  # fmt: skip
NESTED = [{"question": f"Who came first in race {n}?", "answers": {"text": ["Ann", "Ben"]}} for n in range(3)]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, with wide lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def write_jsonl(name: str, rows: Sequence[Any]) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return name


def write_csv(name: str, rows: Sequence[dict[str, str]]) -> str:
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter=";")
        table.writeheader()
        table.writerows(rows)
    return name


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("sums.jsonl", SUMS, {"fields": {"question": ["question"], "answer": ["answer"]}, "domain": "math"}),
        ("sums.csv", SUMS, {"fields": {"question": ["question"], "answer": ["answer"]}, "domain": "math"}),
        ("code.jsonl", CODE, {"fields": {"question": ["instruction"], "answer": ["output"]}, "domain": "code"}),
        ("chats.jsonl", CHATS, {"conversations": "messages", "domain": "general", "language": "German"}),
        (
            "nested.jsonl",
            NESTED,
            {"fields": {"question": ["question"], "answer": ["answers.text"], "list_answer": "first"}},
        ),
    ],
)
def test_fields_domain_and_language_are_found(
    name: str, rows: list[dict[str, Any]], expected: dict[str, Any], capsys: Output
) -> None:
    given = (write_csv if name.endswith(".csv") else write_jsonl)(name, rows)
    assert run_command("init", "made", "--from", given, "--yes") == 0
    assert f"{name}: {len(rows)} rows" in output_of(capsys)
    (source,) = load_seeds_configuration("made/seeds.yaml").sources
    found = source.model_dump(exclude_defaults=True)
    assert {key: found.get(key) for key in expected} == expected
    assert (source.name, source.files) == (Path(name).stem, [name])


def chat(*texts: str, **answer: str) -> dict[str, Any]:
    """A conversation of a user and an assistant; keywords are further fields of the answers."""
    roles = ({"role": "user"}, {"role": "assistant"} | answer)
    return {"messages": [roles[place % 2] | {"content": text} for place, text in enumerate(texts)]}


SYSTEM = {"messages": [{"role": "system", "content": "Think aloud."}, *chat("Why is it so?", "It is.")["messages"]]}
THOUGHT = "<think>It may be so.</think>It is so."


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (
            [chat("What is it?", "It is."), chat("Who?", "I.", "You?", "No.")],
            ["multi_turn: first  # 1 of the first 2 rows"],
        ),
        ([chat("Why is it so?", THOUGHT)], ["# 1 of the first 1 rows have reasoning"]),
        (
            [chat("Why is it so?", "It is.", reasoning_content="It may be.")],
            ["# reasoning_content: reasoning of a model"],
        ),
        (
            [{"system": "Think aloud."} | chat("Why is it so?", "It is.")],
            ["system: system", "keep_system: true  # 1 of"],
        ),
        ([SYSTEM], ["keep_system: true  # 1 of the first 1 rows have a system prompt; false: it is left out\n"]),
        (
            [
                chat("What?", "That."),
                {"messages": [SYSTEM["messages"][0], *chat("Why is it so?", THOUGHT)["messages"]]},
            ],
            ["false: it is left out, in case it asks for the reasoning that is left out\n", "have reasoning"],
        ),
        ([{"question": "Why is it so?", "answer": THOUGHT}], ["# 1 of the first 1 rows have reasoning"]),
        (
            [{"problem": "Why is it so?", "solution": "It is.", "deepseek_reasoning": "It may be."}],
            ["# deepseek_reasoning: reasoning of a model"],
        ),
        ([{"question": "Why?", "answer": "So.", "system": "Be brief."}], ["keep_system: true"]),
        (SUMS, []),
    ],
    ids=[
        "several questions",
        "marked reasoning in messages",
        "a field of messages",
        "a system prompt beside the messages",
        "system prompts",
        "system prompts and reasoning",
        "marked reasoning in a field",
        "a field of rows",
        "a field of system prompts",
        "none",
    ],
)
def test_the_forms_of_the_rows_are_described_beside_what_can_be_changed(
    rows: list[dict[str, Any]], found: list[str], capsys: Output
) -> None:
    assert run_command("init", "made", "--from", write_jsonl("rows.jsonl", rows), "--yes") == 0
    written = Path("made/seeds.yaml").read_text(encoding="utf-8")
    assert [part for part in found if part not in written] == []
    assert ("found" in output_of(capsys)) == bool(found)
    load_seeds_configuration("made/seeds.yaml")


def test_a_project_of_several_files_has_one_source_for_each() -> None:
    Path("data").mkdir()
    write_jsonl("data/a.jsonl", SUMS)
    write_jsonl("a.jsonl", CODE)
    assert run_command("init", ".", "--from", "data/a.jsonl", "--from", "a.jsonl", "--yes") == 0
    configuration = load_seeds_configuration("seeds.yaml")
    assert {source.name: source.files for source in configuration.sources} == {
        "a": ["data/a.jsonl"],
        "a_2": ["a.jsonl"],
    }
    assert "folder" not in yaml.safe_load(Path("seeds.yaml").read_text())


def test_an_endpoint_gets_a_profile_with_the_models_that_are_named() -> None:
    models = ["--endpoint", "http://localhost:8000/v1", "--model", "large", "--weak-model", "small"]
    models += ["--judge-model", "best", "--embedding-model", "vectors", "--key-variable", "OWN_KEY"]
    assert run_command("init", "made", "--from", write_jsonl("sums.jsonl", SUMS), "--yes", *models) == 0
    profile = load_profile("made/profile.yaml")
    assert profile.endpoints["own"].api_key_env == "OWN_KEY"
    assert (profile.embedder.kind, profile.embedder.model) == ("openai", "vectors")
    played = {role: profile.roles[role].model for role in ("weak_student", "strong_student", "judge")}
    assert played == {"weak_student": "small", "strong_student": "large", "judge": "best"}
    assert "OWN_KEY=" in Path("made/.env").read_text()
    assert stat.S_IMODE(Path("made/.env").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (None, [], "there is no such file"),
        ([{"frage": "a", "rat": "b"}], [], "no field looks like the answer; the fields are frage, rat: give --answer"),
        (
            [{"problem": "a", "solution": "1 + 1 = 2", "answer": "2"}],
            [],
            "answer and solution may each hold the answer: give --answer answer or --answer solution",
        ),
        ([{"question": "a", "answer": ""}], ["--answer", "answer"], "has a question and an answer"),
        ([{"question": "a", "answer": "b"}], ["--answer", "response"], "no 'response' in"),
        (SUMS, ["--language", "klingon"], "--language: 'klingon' is no language"),
        (SUMS, ["--endpoint", "localhost:8000"], "name it with --model"),
        (SUMS, ["--endpoint", "localhost:8000", "--model", "m"], "must start with http:// or https://"),
        (SUMS, ["--endpoint", "http://x/v1", "--model", "m", "--key-variable", "sk-12"], "should be the NAME of"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_not_clear_is_one_message_and_nothing_is_written(
    rows: list[Any] | None, options: list[str], message: str, capsys: Output
) -> None:
    if rows is not None:
        write_jsonl("seeds.jsonl", rows)
    assert run_command("init", "made", "--from", "seeds.jsonl", "--yes", *options) == 1
    shown = output_of(capsys)
    assert message in shown
    assert "sk-12" not in shown
    assert not Path("made").exists()


def test_an_option_settles_which_field_is_the_answer() -> None:
    given = write_jsonl("seeds.jsonl", [{"problem": "What is 1 + 1?", "solution": "1 + 1 = 2", "answer": "2"}])
    assert run_command("init", "made", "--from", given, "--answer", "solution", "--yes") == 0
    assert load_seeds_configuration("made/seeds.yaml").sources[0].wanted_fields == ("problem", "solution")


def test_rows_that_cannot_be_used_are_reported(capsys: Output) -> None:
    given = write_jsonl("seeds.jsonl", [*SUMS, {"question": "Why?"}])
    assert run_command("init", "made", "--from", given, "--yes") == 0
    shown = output_of(capsys)
    assert "1 of the first 13 rows cannot be used (1 missing_field). A run refuses a source" in shown


@pytest.mark.parametrize("existing", ["seeds.yaml", ".env", "README.md"])
def test_no_file_is_overwritten(existing: str, capsys: Output) -> None:
    Path("made").mkdir()
    Path("made", existing).write_text("mine")
    assert run_command("init", "made", "--from", write_jsonl("sums.jsonl", SUMS), "--yes") == 1
    assert f"has {existing} already, and init overwrites no file" in output_of(capsys)
    assert [file.name for file in Path("made").iterdir()] == [existing]
    assert Path("made", existing).read_text() == "mine"


def test_without_yes_and_without_a_terminal_nothing_is_written(capsys: Output) -> None:
    assert run_command("init", "made", "--from", write_jsonl("sums.jsonl", SUMS)) == 1
    assert "give --yes" in output_of(capsys)
    assert not Path("made").exists()


def test_what_is_not_clear_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    given = write_jsonl("seeds.jsonl", [{"problem": "What is 1 + 1?", "solution": "1 + 1 = 2", "answer": "2"}])
    lines = ["wrong", "solution", "n", "", "answer", "math", "de", "y", "MIT", "http://localhost:8000/v1", "large", ""]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join([*lines, ""])))
    assert run_command("init", "made", "--from", given) == 0
    (source,) = load_seeds_configuration("made/seeds.yaml").sources
    assert source.wanted_fields == ("problem", "answer")
    assert (source.domain, source.language, source.licence) == ("math", "German", "MIT")
    profile = load_profile("made/profile.yaml")
    assert (profile.endpoints["own"].base_url, profile.endpoints["own"].api_key_env) == (
        "http://localhost:8000/v1",
        None,
    )


@pytest.mark.end_to_end
def test_run_makes_a_release_in_the_new_project(fake_endpoint: FakeEndpoint, tmp_path: Path) -> None:
    fake_endpoint.answer_with(play)
    write_jsonl("sums.jsonl", SUMS)
    models = ["--endpoint", fake_endpoint.base_url, "--model", "any", "--embedding-model", "vectors"]
    assert run_command("init", "a project", "--from", "sums.jsonl", "--yes", *models) == 0
    folder = tmp_path / "a project"
    profile = (
        folder / "profile.yaml"
    ).read_text()  # the endpoint of the tests plays the role that a model is named after
    for role in load_profile(str(folder / "profile.yaml")).roles:
        profile = profile.replace(f"  {role}: {{endpoint: own, model: any", f"  {role}: {{endpoint: own, model: {role}")
    (folder / "profile.yaml").write_text(profile)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "DAGSTER_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "master_dagster", "run", "--yes"],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (folder / "lake" / "boost_qa" / "latest.json").is_file()
    assert (folder / ".dagster" / "history").is_dir()
