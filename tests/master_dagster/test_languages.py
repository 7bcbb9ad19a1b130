"""Seeds in another language, from their file to the release's card."""

import json
import re

import polars as pl
import pytest
import yaml
from dagster import DagsterInstance

from assets.boost_qa.release import RELEASES
from assets.dialogues.schema import DIALOGUES
from master_dagster.graph import build_definitions
from master_dagster.steps import materialise_graph
from tests.fake_endpoint import SeenRequest
from tests.sample_project import SampleProject, play

pytestmark = pytest.mark.end_to_end

ENGLISH = "I think about it with care and then put both of the numbers together, one step after the other."
WEAK = {
    "weak_student": "Ich zähle alle Dinge nacheinander ab und rate dann ein wenig, weil mir das Rechnen schwerfällt.",
    "debater_a": "Meiner Meinung nach gehören beide Zahlen nebeneinander, deshalb schreibe ich sie zusammen auf.",
    "debater_b": "Das bezweifle ich sehr, denn ich würde lieber jedes einzelne Ding noch einmal in Ruhe zählen.",
}
ADVICE = "Überlege noch einmal, was am Anfang da ist und was dazukommt, und welche Rechenart beides verbindet."


def question(number: int) -> dict[str, str]:
    """A sum in German, different for each number."""
    first, second = number + 2, 2 * number + 3
    return {
        "question": f"Im Korb Nummer {number} sind {first} Äpfel. Anna legt {second} dazu. Wie viele sind es nun?",
        "answer": f"Wir zählen die {second} Äpfel zu den {first} Äpfeln im Korb. {first} + {second} = {first + second}."
        f"\n#### {first + second}",
    }


def in_german(request: SeenRequest, tried: set[str]) -> str:
    """As `play`, in German; the first try of every strong student is in English."""
    role = request.model
    if role == "judge":
        return play(request)
    if role in WEAK:
        return WEAK[role]
    if role in ("critic_teacher", "explaining_teacher"):
        return ADVICE
    if role == "strong_student" and request.text not in tried:
        tried.add(request.text)
        return ENGLISH
    working, result = re.findall(r"\n(Wir zählen[^\n]*)\n(\d+)\n", request.text)[-1]
    return f"Ich habe die Aufgabe noch einmal mit Sorgfalt und Schritt für Schritt gelöst. {working} Es sind {result}."


def test_dialogues_and_card_are_in_the_language_of_the_source(
    project: SampleProject, instance: DagsterInstance
) -> None:
    seeds = yaml.safe_load((project.folder / "seeds.yaml").read_text())
    seeds["sources"][0]["language"] = "de"
    (project.folder / "seeds.yaml").write_text(yaml.safe_dump(seeds))
    lines = [json.dumps(question(number)) for number in range(12)]
    (project.folder / "sums.jsonl").write_text("\n".join(lines))
    tried: set[str] = set()
    project.endpoint.answer_with(lambda request: in_german(request, tried))
    deployment = project.deployment
    materialise_graph(deployment, build_definitions(deployment), instance)

    lake = deployment.lake()
    dialogues = lake.read(DIALOGUES)
    assert dialogues["status"].unique().to_list() == ["complete"]
    speakers = [one.system for one in project.endpoint.chats if one.model != "judge"]
    assert all("German" in system for system in speakers)
    assert not any("English" in system for system in speakers)
    discarded = dialogues.explode("discarded").unnest("discarded").filter(pl.col("reason").is_not_null())
    assert discarded["reason"].unique().to_list() == ["not_english"]
    release = RELEASES.latest(lake)
    card = lake.store.get(f"{release.folder}/README.md").decode()
    assert yaml.safe_load(card.split("---")[1])["language"] == ["de"]
