"""A deployment in a temporary folder: its own seeds, a profile on the fake endpoint, its own lake."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from dagster import DagsterInstance, Definitions

from master_dagster.deployment import Deployment, load_deployment
from master_dagster.settings import Settings
from resources.chat.journal_format import decode_file
from resources.lake.tables import Lake
from tests.fake_endpoint import FakeEndpoint, SeenRequest
from tests.shipped_scenarios import SCENARIOS
from tests.stand_in_judge import answer_rubric

NAMES = ("Tom", "Anna", "Ben", "Sara", "Max", "Lily", "Omar", "Ines", "Paul", "Mia", "Finn", "Zoe")
THINGS = ("apples", "pencils", "books", "coins", "shells", "cards")


def question(number: int) -> dict[str, str]:
    """A sum, different for each number."""
    name, thing = NAMES[number % len(NAMES)], THINGS[number % len(THINGS)]
    first, second = number + 2, 2 * number + 3
    return {
        "question": f"{name} has {first} {thing} and then finds {second} more {thing}. How many {thing} are there now?",
        "answer": f"We add the {second} {thing} to the {first} {thing} that {name} has. "
        f"{first} + {second} = {first + second}.\n#### {first + second}",
    }


def play(request: SeenRequest) -> str:
    """An answer that fits its role: weak ones are wrong, those that see the reference answer agree with it."""
    role = request.model
    reference = re.search(r"\n(We add[^\n]*)\nThe answer is (\d+)\.", request.text)
    if role == "judge":
        return answer_rubric(request.body, "The result agrees with the reference.")
    if role in ("critic_teacher", "explaining_teacher"):
        return (
            "Look at what is there at first and at what comes on top of it, and think about which operation joins them."
        )
    if reference:
        working, result = reference.groups()
        return f"Let me work through it with care. {working} So the answer is {result}."
    wrong = {"weak_student": 999, "debater_a": 998, "debater_b": 997}[role]
    own = {
        "weak_student": "I count all the things one after the other and then guess a little.",
        "debater_a": "In my view both numbers belong together, so I put them side by side.",
        "debater_b": "That looks doubtful to me, because I would rather count every single thing again.",
    }[role]
    return f"{own} The answer is {wrong}."


@dataclass(frozen=True)
class SampleProject:
    """The deployment and the folder with its files."""

    folder: Path
    settings: Settings
    endpoint: FakeEndpoint

    @property
    def deployment(self) -> Deployment:
        return load_deployment(self.settings)

    @property
    def environment(self) -> dict[str, str]:
        """The settings as environment variables."""
        return {
            f"MASTER_{name.upper()}": str(getattr(self.settings, name)) for name in ("lake_root", "seeds", "profile")
        }

    def write_seeds(self, numbers: range) -> None:
        """The source's file with these questions."""
        lines = [json.dumps(question(number)) for number in numbers]
        (self.folder / "sums.jsonl").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class FinishedProject:
    """A project with the whole graph materialised, and the instance that recorded it."""

    project: SampleProject
    definitions: Definitions
    instance: DagsterInstance


def found_project(folder: Path, endpoint: FakeEndpoint) -> SampleProject:
    """Twelve sums in one source, and models whose answers fit their roles."""
    endpoint.answer_with(play)
    cast = {
        role: {"endpoint": "fake", "model": role, "temperature": 0.2, "max_tokens": 200}
        for role in (*SCENARIOS.roles, "judge")
    }
    profile = {
        "name": "project",
        "endpoints": {"fake": {"base_url": endpoint.base_url, "max_concurrency": 8}},
        "roles": cast,
        "embedder": {"kind": "openai", "endpoint": "fake", "model": "fake-embedder"},
        "prices": {"strong_student": {"prompt": 1.0, "completion": 2.0}},
    }
    seeds = {
        "sources": [
            {
                "name": "sums",
                "files": ["sums.jsonl"],
                "fields": {"question": "question", "answer": "answer"},
                "domain": "math",
                "licence": "CC0-1.0",
            }
        ]
    }
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    (folder / "seeds.yaml").write_text(yaml.safe_dump(seeds))
    project = SampleProject(
        folder=folder,
        settings=Settings(
            _env_file=None,
            lake_root=str(folder / "lake"),
            seeds=str(folder / "seeds.yaml"),
            profile=str(folder / "profile.yaml"),
        ),
        endpoint=endpoint,
    )
    project.write_seeds(range(12))
    return project


def journalled_answers(lake: Lake) -> int:
    """How many answers the journal holds."""
    files = lake.store.list("_journal")
    return sum(1 for file in files for record in decode_file(file.path, lake.store.get(file.path)) if record)
