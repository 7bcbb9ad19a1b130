"""`master-dagster try`."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.command_line import output_of, run_command, set_environment
from tests.fake_endpoint import FakeEndpoint, SeenRequest
from tests.sample_project import SampleProject, play
from tests.stand_in_judge import answer_rubric

pytestmark = pytest.mark.end_to_end
Output = pytest.CaptureFixture[str]
SCENARIOS = ["error_correction", "debate", "analogy"]


@pytest.fixture
def configured(project: SampleProject, monkeypatch: pytest.MonkeyPatch) -> SampleProject:
    """A project with seeds and an empty lake, which the environment names."""
    set_environment(project, monkeypatch)
    return project


@pytest.mark.parametrize(
    ("arguments", "scenarios"),
    [
        ([], {"error_correction": 2, "debate": 2, "analogy": 1}),
        (["-n", "3"], dict.fromkeys(SCENARIOS, 1)),
        (["-n", "4", "--scenario", "debate"], {"debate": 4}),
    ],
    ids=["five", "one each", "one scenario"],
)
def test_every_scenario_is_tried_in_turn(
    configured: SampleProject, capsys: Output, arguments: list[str], scenarios: dict[str, int]
) -> None:
    assert run_command("try", "--json", *arguments) == 0
    found = json.loads(capsys.readouterr().out)["dialogues"]
    assert {name: sum(one["dialogue"]["scenario"] == name for one in found) for name in scenarios} == scenarios
    assert len({one["dialogue"]["seed_id"] for one in found}) == len(found) == sum(scenarios.values())


def test_dialogues_are_printed_with_verdicts_and_nothing_reaches_the_lake(
    configured: SampleProject, capsys: Output
) -> None:
    def reject_debates(request: SeenRequest) -> str:
        if request.model == "judge" and "debate" in request.text:
            return answer_rubric(request.body, "It does not add up.", steps_sound="no")
        return play(request)

    configured.endpoint.answer_with(reject_debates)
    assert run_command("try", "-n", "3") == 0
    shown = output_of(capsys)
    assert "debate · sums · rejected · " in shown
    assert "wrong_step: the judge finds a wrong step" in shown
    assert "judge (judge): It does not add up." in shown
    assert "2 of 3 accepted" in shown
    assert re.search("no price for .*, judge, .*: their calls count as [$]0", shown)
    assert not (configured.folder / "lake").exists()


def test_the_same_seeds_are_chosen_each_time(configured: SampleProject, capsys: Output) -> None:
    found = []
    for _ in range(2):
        assert run_command("try", "-n", "3", "--json") == 0
        found.append({one["dialogue_id"] for one in json.loads(capsys.readouterr().out)["dialogues"]})
    assert found[0] == found[1]


def test_the_sources_take_turns(configured: SampleProject, capsys: Output) -> None:
    seeds = yaml.safe_load((configured.folder / "seeds.yaml").read_text())
    seeds["sources"].append(seeds["sources"][0] | {"name": "more_sums"})
    (configured.folder / "seeds.yaml").write_text(yaml.safe_dump(seeds))
    assert run_command("try", "-n", "4", "--scenario", "debate", "--json") == 0
    found = json.loads(capsys.readouterr().out)["dialogues"]
    assert sorted(one["dialogue"]["source"] for one in found) == ["more_sums", "more_sums", "sums", "sums"]


def test_two_seeds_are_enough(configured: SampleProject, capsys: Output) -> None:
    configured.write_seeds(range(2))
    assert run_command("try", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    tried = {one["dialogue"]["scenario"] for one in found["dialogues"]}
    assert {"error_correction", "debate"} <= tried
    assert tried | set(found["left_out"]) == set(SCENARIOS)
    assert len({one["dialogue_id"] for one in found["dialogues"]}) == len(found["dialogues"])


def test_scenarios_that_cannot_be_tried_are_named(configured: SampleProject, capsys: Output) -> None:
    assert run_command("try", "-n", "1") == 0
    shown = output_of(capsys)
    assert "Not tried: debate: give -n 3 for one dialogue in each scenario." in shown
    assert "1 of 1 accepted" in shown


@pytest.mark.parametrize("count", ["2", "3"])
def test_an_analogy_without_a_similar_question_is_named(
    configured: SampleProject, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: str
) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"min_similarity": 1.0}))
    monkeypatch.setenv("MASTER_PLAN_RULES", str(tmp_path / "rules.yaml"))
    assert run_command("try", "-n", count) == 0
    shown = output_of(capsys)
    assert "Not tried: analogy: none of the seeds that were read has a similar question (min_similarity 1)." in shown
    assert "give -n" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-usd", "0"], "the run's budget of $0.00 is spent ($0.00) after 0 of 5 dialogues; raise --max-usd"),
        (["--scenario", "debates"], "--scenario debates: "),
    ],
    ids=["budget", "unknown scenario"],
)
def test_what_stops_a_try_is_one_message(
    configured: SampleProject, capsys: Output, arguments: list[str], message: str
) -> None:
    assert run_command("try", *arguments) == 1
    assert message in output_of(capsys)


def test_a_file_that_is_missing_and_a_wrong_key_are_one_message(configured: SampleProject, capsys: Output) -> None:
    configured.endpoint.answer_with(lambda _: FakeEndpoint.fails(401, "Incorrect API key provided"))
    assert run_command("try") == 1
    assert "Incorrect API key provided" in output_of(capsys)
    (configured.folder / "sums.jsonl").unlink()
    assert run_command("try") == 1
    assert "there is no such file" in output_of(capsys)
