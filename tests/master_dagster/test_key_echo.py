"""A key that a server repeats in its answers is in nothing that a run writes or prints."""

import gzip
import io
import itertools
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from assets.boost_qa.release import HOME as RELEASES
from assets.dialogue_browser.files import read_data_file
from assets.dialogue_browser.publishing import HOME as BROWSERS
from assets.dialogues.schema import DIALOGUES
from assets.quality.schema import SCORED
from resources.chat.redaction import REDACTED
from tests.attacks.echoes import ENCODINGS, HEADERS, KEY, PLACES, parts_found, sendable
from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest
from tests.sample_project import SampleProject, play
from tests.shipped_scenarios import NAMES

PROJECT = Path(__file__).parents[2]
SECONDS = 300  # no command takes so long, on however busy a machine
SHARD = "sums-0000"
EVERY = (f"{next(iter(NAMES))}|{SHARD}", f"{NAMES[-1]}|{SHARD}")
MATERIALISE = """
import json, sys
from dagster import DagsterInstance
from assets.seeds.mirror import mirror_shards
from master_dagster.graph import build_definitions
from master_dagster.deployment import load_deployment
from master_dagster.settings import Settings
from master_dagster.steps import StepFailed, run_step

settings, steps = map(json.loads, sys.argv[1:])
deployment = load_deployment(Settings(_env_file=None, **settings))
with DagsterInstance.get() as instance:
    mirror_shards(deployment.lake(), instance)
    for assets, keys in steps:
        try:
            run_step(build_definitions(deployment), instance, assets, keys)
        except StepFailed as failed:
            print(failed)
"""

pytestmark = pytest.mark.end_to_end

Steps = list[tuple[list[str], list[str] | None]]


class Echoes:
    """An endpoint whose every answer repeats the key, each time in another encoding."""

    def __init__(self, places: tuple[str, ...] = ()) -> None:
        """`places`: those of a refusal (see `PLACES`), one after the other; without them, answers are good ones."""
        pairs = [(place, name) for name in ENCODINGS for place in places if sendable(name, place)]
        self.refusals = itertools.cycle(PLACES[place](ENCODINGS[name](KEY)) for place, name in pairs) if pairs else None
        self.encodings = itertools.cycle(ENCODINGS)

    def rule(self, request: SeenRequest) -> Answer:
        if self.refusals:
            return next(self.refusals)
        encoding = next(self.encodings)
        said, echo = play(request), ENCODINGS[encoding](KEY)
        if request.model == "judge":
            said = said.replace("The result agrees", f"You sent {json.dumps(echo)[1:-1]}, and the result agrees")
        else:
            said = f"You sent {echo}, and that is fine. {said}"
        headers = dict.fromkeys(HEADERS, echo) if sendable(encoding, "headers") else {}
        return FakeEndpoint.says(said, reasoning=f"The key is {echo}.", headers=headers)


def materialise(project: SampleProject, home: Path, steps: Steps) -> str:
    """Run the steps, one run each, in a process whose endpoint has a key. Returns what it printed."""
    settings = project.settings.model_dump(mode="json", exclude_unset=True)
    command = [sys.executable, "-c", MATERIALISE, json.dumps(settings), json.dumps(steps)]
    environment = {**os.environ, "SOME_KEY": KEY, "DAGSTER_HOME": str(home)}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, text=True, capture_output=True, timeout=SECONDS, check=True
    )
    return done.stdout + done.stderr


@pytest.fixture
def home(planned_project: SampleProject) -> Path:
    """The home of an instance that keeps runs, events and compute logs in files; the endpoint has a key."""
    profile = planned_project.folder / "profile.yaml"
    given: dict[str, Any] = yaml.safe_load(profile.read_text())
    given["endpoints"]["fake"]["api_key_env"] = "SOME_KEY"
    profile.write_text(yaml.safe_dump(given))
    home = planned_project.folder / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\npython_logs: {managed_python_loggers: [root], python_log_level: DEBUG}\n"
    )
    return home


def texts_below(folder: Path) -> Iterator[str]:
    """Everything that can be read in a folder's files: decompressed, and of tables and databases each value."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path)
            yield from texts_of(path.name, path.read_bytes(), path)


def texts_of(name: str, content: bytes, path: Path) -> Iterator[str]:
    if name.endswith(".gz"):
        yield from texts_of(name.removesuffix(".gz"), gzip.decompress(content), path)
    elif name.endswith(".zst"):
        with pa.CompressedInputStream(io.BytesIO(content), "zstd") as stream:
            yield from texts_of(name.removesuffix(".zst"), stream.read(), path)
    elif name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(content))
        yield str(table.to_pylist()) + str(table.schema.metadata)
    elif name.endswith(".js"):
        yield json.dumps(read_data_file(content), ensure_ascii=False)
    elif content.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(path)) as database:
            yield "\n".join(database.iterdump())
    yield content.decode("utf-8", "replace")


def test_a_key_that_good_answers_repeat_is_in_no_table_release_log_or_database(
    planned_project: SampleProject, home: Path
) -> None:
    planned_project.endpoint.answer_with(Echoes().rule)
    stages = [DIALOGUES.name, SCORED.name]
    output = materialise(
        planned_project, home, [(stages, list(EVERY)), (["boost_qa"], None), (["dialogue_browser"], None)]
    )
    found = [output, *texts_below(planned_project.folder)]
    assert parts_found(found) == []
    lake = planned_project.folder / "lake"
    said = [turn["text"] for turns in planned_project.deployment.lake().read(DIALOGUES)["turns"] for turn in turns]
    assert {REDACTED in text for text in said if "You sent" in text} == {True}
    assert [
        folder
        for folder in (RELEASES, BROWSERS, SCORED.name, "_journal")
        if not any(REDACTED in text for text in texts_below(lake / folder))
    ] == []
    assert list(home.rglob("*.err"))


@pytest.mark.parametrize(
    "places",
    [("error_400",), ("error_401", "error_within_200", "raw_error", "reason_phrase", "headers", "location")],
    ids=["dialogues", "runs"],
)
def test_a_key_that_refusals_repeat_is_in_no_message(
    planned_project: SampleProject, home: Path, places: tuple[str, ...]
) -> None:
    echoes = Echoes(places)
    planned_project.endpoint.answer_with(echoes.rule)
    if echoes.refusals:
        planned_project.endpoint.answer_embeddings_with(lambda request: next(echoes.refusals))
    teach: Steps = [([DIALOGUES.name], list(EVERY))] * len(places)
    output = materialise(planned_project, home, [*teach, (["raw_seeds"], ["sums"]), (["seed_embeddings"], ["sums"])])
    assert output.count("failed in run") >= len(places)
    assert REDACTED in output
    assert parts_found([output, *texts_below(planned_project.folder)]) == []
