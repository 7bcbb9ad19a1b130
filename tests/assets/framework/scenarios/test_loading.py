"""Faults of scenario files: each is named with its file and line, all of them at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from assets.dialogues.load_scenarios import load_scenarios
from assets.framework.scenarios.loading import load_scenario_folders
from resources.configuration import ConfigurationError

GOOD = """\
description: A guide asks for an answer, gives hints and advice, and a learner answers.
speakers:
  guide: {side: human}
  learner: {side: gpt}
roles:
  beginner: {weak: true}
  coach: {}
  expert: {}
draws:
  rounds: {1: 1, 3: 1}
steps:
  - {pose: question, speaker: guide, prompt: opening}
  - {say: attempt, speaker: learner, role: beginner, prompt: attempt, sees: [question], answers: question}
  - repeat: rounds
    steps:
      - {say: hint, speaker: guide, role: coach, prompt: hint, sees: [question, dialogue]}
      - {say: retry, speaker: learner, role: beginner, prompt: retry, sees: [hint, own_turns], answers: question}
  - {say: advice, speaker: guide, role: expert, prompt: advice, sees: [attempt, reference], reviews: attempt}
  - {say: end, speaker: learner, role: expert, prompt: end, sees: [advice, reference], answers: question, judged: true}
"""
PROMPTS = {
    "opening": "Here is a question: {question}",
    "attempt": "[user]\nAnswer: {question}",
    "hint": "[user]\n{question} {dialogue}",
    "retry": "[user]\n{hint} {own_turns}",
    "advice": "[user]\n{attempt} {reference}",
    "end": "[user]\n{advice} {reference}",
}


def write(folder: Path, text: str = GOOD, name: str = "hints", prompts: Mapping[str, str] = PROMPTS) -> Path:
    """A scenario with its prompts in a folder."""
    files = folder / name / "standard"
    files.mkdir(parents=True, exist_ok=True)
    for prompt, content in prompts.items():
        (files / f"{prompt}.txt").write_text(content)
    (folder / f"{name}.yaml").write_text(text)
    return folder


def faults(*folders: Path, prompt_set: str = "standard") -> list[str]:
    """The lines of the error below its title, without the path of the first folder."""
    with pytest.raises(ConfigurationError) as caught:
        load_scenario_folders(folders, prompt_set)
    return [line.replace(f"{folders[0]}/", "").strip(" -") for line in str(caught.value).splitlines()[1:]]


def test_a_valid_scenario_is_loaded_with_what_follows_from_it(tmp_path: Path) -> None:
    (scenario,) = load_scenario_folders([write(tmp_path)], "standard").values()
    assert (scenario.name, scenario.title, scenario.short_name) == ("hints", "hints", "hints")
    assert scenario.roles == ("beginner", "coach", "expert")
    assert scenario.prompt_names == tuple(sorted(PROMPTS))
    assert scenario.calls(3) == {"beginner": 4, "coach": 3, "expert": 2}


# What is replaced in the good file by what, and the beginnings of the faults.
CASES: Sequence[tuple[str, str, list[str]]] = [
    (
        "role: coach, prompt: hint",
        "role: couch, prompt: hint",
        ["7: role 'coach' has no", "16: role 'couch': there is"],
    ),
    (
        "speaker: guide, role: coach",
        "speaker: gide, role: coach",
        ["16: speaker 'gide': there is no such speaker; is guide meant? (speakers here: guide"],
    ),
    ("  learner: {side: gpt}", "  learner: {side: gpt}\n  other: {side: gpt}", ["5: speaker 'other' has no turn"]),
    (
        "  learner: {side: gpt}",
        "  learner: {side: bot}",
        ["4: speakers.learner.side: Input should be 'human' or 'gpt'"],
    ),
    (
        "  guide: {side: human}",
        "  guide: {side: human}\n  Guide: {side: human}",
        ["4: speaker", "4: 'Guide' and 'guide'"],
    ),
    ("  guide: {side: human}", "  'guide:': {side: human}", ["3: speakers.guide:"]),
    ("reviews: attempt", "review: attempt", ["18: steps.3.review: there is no such key; is reviews meant?"]),
    ("roles:", "titel: Hints\nroles:", ["5: titel: there is no such key; is title meant?"]),
    (
        "sees: [attempt, reference]",
        "sees: [atempt, reference]",
        ["18: 'advice' sees 'atempt'", "18: advice.txt wants", "18: no prompt"],
    ),
    (
        "sees: [attempt, reference]",
        "sees: [end, reference]",
        ["18: 'advice' sees 'end'", "18: advice.txt wants {at", "18: no"],
    ),
    (
        "sees: [question], answers",
        "sees: [question, dialogue], answers",
        ["13: no prompt of 'attempt' uses {dialogue}"],
    ),
    ("sees: [advice, reference]", "sees: [advice]", ["19: end.txt wants {reference}, which 'end' does not see"]),
    (
        "prompt: end",
        "prompt: attempt",
        ["19: attempt.txt wants {question}", "19: no prompt of 'end' uses {advice}, {re"],
    ),
    (
        "prompt: opening",
        "prompt: advice",
        ["12: 'advice' is the prompt of a model too", "12: advice.txt wants", "12: advice.txt does"],
    ),
    (
        "pose: question",
        "pose: similar_question",
        ["12: opening.txt wants {question}", "12: opening.txt does not have {similar"],
    ),
    ("say: retry", "say: attempt", ["17: there are two steps 'attempt'"]),
    ("say: retry", "say: dialogue", ["17: 'dialogue' is the name of a given value"]),
    (
        "say: retry, speaker: learner",
        "say: retry, speaker: guide",
        [f"{n}: 'guide' follows 'guide', both of side human" for n in (16, 17, 18)],
    ),
    ("  - {pose: question, speaker: guide, prompt: opening}\n", "", ["12: the first turn is 'learner', of side gpt"]),
    (
        "speaker: learner, role: expert",
        "speaker: guide, role: expert",
        ["11: the last turn is", "19: 'guide' follows 'guide'"],
    ),
    (
        "repeat: rounds",
        "repeat: round",
        ["10: no loop is repeated 'rounds'", "14: draw 'round': there is no such draw; is rounds meant"],
    ),
    ("repeat: rounds", "repeat: 0", ["10: no loop is repeated", "14: a loop runs 1 to 20 times, not 0"]),
    ("repeat: rounds", "repeat: 21", ["10: no loop is repeated", "14: a loop runs 1 to 20 times, not 21"]),
    ("  - repeat: rounds\n    steps:", "  - steps:", ["14: steps.2.repeat: a loop without an end"]),
    ("rounds: {1: 1, 3: 1}", "rounds: {0: 1}", ["9: draws: rounds: the numbers have to be from 1 to 20"]),
    ("rounds: {1: 1, 3: 1}", "rounds: {}", ["9: draws: rounds: the numbers have to be"]),
    ("rounds: {1: 1, 3: 1}", "rounds: {1: 0}", ["9: draws: rounds: the shares have to be positive"]),
    ("repeat: rounds", "repeat: rounds\n    until_agree: [guide, learner]", ["15: 'guide' has no turn with `answers`"]),
    (
        "repeat: rounds",
        "repeat: rounds\n    until_agree: [learner, learner]",
        ["15: 'learner' always agrees with itself"],
    ),
    (", judged: true", "", ["11: no step is judged"]),
    ("answers: question, judged", "judged", ["19: 'end' is judged, so it needs `answers`"]),
    (
        "answers: question, judged",
        "answers: similar_question, judged",
        ["11: the judged turns have to answer `question`"],
    ),
    (
        "own_turns], answers: question}",
        "own_turns], answers: question, judged: true}",
        ["11: the judged turns", "17: 'retry' is in a loop"],
    ),
    (
        "reviews: attempt",
        "variants: [{when: {chosen: {mood: calm}}, prompt: advice}]",
        ["18: choice 'mood': there is no such choice (choices here: none)"],
    ),
    ("roles:", "choices: {mood: {calm: 1}}\nroles:", ["5: no variant depends on the choice 'mood'"]),
    ("roles:", "choices: {mood: {calm: 0}}\nroles:", ["5: choices: mood: some share has to be positive"]),
    ("reviews: attempt", "reviews: hint", ["18: step 'hint' has no `answers`, so it is neither right nor wrong"]),
    ("prompt: opening", "prompt: opening, praises: end", ["12: step 'end': there is no such step (steps here: none)"]),
    ("reviews: attempt", "variants: [{when: {right: hint}, prompt: end}]", ["18: step 'hint'", "18: end.txt wants"]),
    (
        "reviews: attempt",
        "variants: [{when: {}, prompt: advice}]",
        ["18: steps.3.variants.0.when: has to name at least one fact"],
    ),
    ("  - {pose: question", "  - {ask: question", ["12: steps.0: a step begins with `pose`, `say` or `repeat`"]),
    ("      - {say: hint", "      - {repeat: 2, say: hint", ["16: steps.2.steps.0.repeat: there is no such key"]),
    (
        "      - {say: hint, speaker: guide, role: coach, prompt: hint, sees: [question, dialogue]}",
        "      - {repeat: 2, steps: []}",
        ["16: steps.2.steps.0: a loop inside of a loop"],
    ),
    ("  - {pose: question, speaker: guide, prompt: opening}", "  - a question", ["12: steps.0: a step begins with"]),
    (
        "sees: [question], answers",
        "sees: [question, reference], answers",
        [
            "13: role 'beginner' is weak, but 'attempt' sees a reference answer through `reference`",
            "13: no prompt",
            "17: role 'beg",
        ],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), CASES)
def test_a_fault_is_named_with_its_line(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in GOOD
    found = faults(write(tmp_path, GOOD.replace(old, new, 1)))
    assert len(found) == len(expected), found
    for fault, begin in zip(found, expected, strict=True):
        assert fault.startswith(f"hints.yaml:{begin}")


def test_every_fault_of_every_file_is_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("role: coach", "role: couch").replace("[attempt, reference]", "[attempt]"))
    write(tmp_path, "description: One.\ntitel: T", name="other")
    write(tmp_path, "steps: [", name="third")
    write(tmp_path, "- a list", name="fourth")
    write(tmp_path, name="fifth", prompts={name: text for name, text in PROMPTS.items() if name != "hint"})
    write(tmp_path, name="Sixth-one")
    found = faults(tmp_path)
    for part in (
        "Sixth-one.yaml: name the file in small letters",
        "hint.txt is missing",
        "fourth.yaml:1: should be a mapping",
        "hints.yaml:7: role 'coach' has no turn",
        "hints.yaml:16: role 'couch'",
        "hints.yaml:18: advice.txt wants {reference}",
        "other.yaml:1: speakers: has to be given",
        "other.yaml:2: titel: there is no such key",
        "third.yaml, line 1, column 9: is not valid YAML",
    ):
        assert any(part in fault for fault in found), part


def test_folders_that_do_not_fit_each_other_are_named(tmp_path: Path) -> None:
    first, second, empty = write(tmp_path / "a"), write(tmp_path / "b"), tmp_path / "c"
    empty.mkdir()
    write(second, GOOD.replace("roles:", "short_name: hints\nroles:"), name="more")
    found = faults(first, second, empty)
    assert found == [
        f"{second}/hints.yaml: hints.yaml has the same name; rename one of the files",
        f"{empty}: there is no scenario here: no file *.yaml",
        "hints and more have the same short_name 'hints'; give one another",
    ]


def test_an_unknown_prompt_set_is_named_instead_of_the_standard_one(tmp_path: Path) -> None:
    (fault,) = faults(write(tmp_path), prompt_set="by_exmaple")
    assert fault.startswith("the prompts 'by_exmaple': no scenario has such a set, and it is no folder")


def test_files_that_a_set_does_not_have_are_the_standard_ones(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "hints" / "small").mkdir()
    (tmp_path / "hints" / "small" / "attempt.txt").write_text("[user]\nBriefly: {question}")
    scenario = load_scenario_folders([tmp_path], "small")["hints"]
    shown = [
        scenario.prompts.render(name, question="Q", hint="H", own_turns="O")[0].content for name in ("attempt", "retry")
    ]
    assert ("Briefly" in shown[0], "H" in shown[1]) == (True, True)


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("standard", ["error_correction", "debate", "analogy"]),
        ("paper", ["error_correction", "debate", "analogy"]),
        ("{folder}", ["hints"]),
        ("standard, {folder},", ["error_correction", "debate", "analogy", "hints"]),
    ],
)
def test_a_setting_names_the_shipped_scenarios_and_folders(tmp_path: Path, setting: str, names: list[str]) -> None:
    assert list(load_scenarios(setting.format(folder=write(tmp_path)))) == names


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("nowhere", "'nowhere' is neither a folder of scenarios nor one of standard, paper"),
        (" , ", "' , ' names no scenarios"),
    ],
)
def test_a_setting_that_names_nothing_is_an_error(setting: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_scenarios(setting)


def test_a_file_that_extends_another_has_its_keys_and_prompts(tmp_path: Path) -> None:
    base, folder = write(tmp_path / "base"), tmp_path / "own"
    prompts = {"hint": "[user]\nBriefly: {question} {dialogue}"}
    write(folder, "extends: ../base/hints.yaml\ntitle: Short hints\ndraws: {rounds: {2: 1}}", "short", prompts)
    (scenario,) = load_scenario_folders([folder], "standard").values()
    (original,) = load_scenario_folders([base], "standard").values()
    assert (scenario.name, scenario.title, scenario.repetitions) == ("short", "Short hints", ("rounds", {2: 1}))
    assert scenario.declaration.steps == original.declaration.steps
    versions, before = scenario.prompts.versions(), original.prompts.versions()
    assert {name for name in versions if versions[name] != before[name]} == {"hint"}


def test_prompts_of_a_set_beside_the_extended_file_take_precedence_over_standard_ones(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    (base / "hints" / "small").mkdir()
    (base / "hints" / "small" / "attempt.txt").write_text("[user]\nBriefly: {question}")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "hints.yaml").write_text("extends: ../base/hints.yaml")
    scenario = load_scenario_folders([tmp_path / "own"], "small")["hints"]
    assert "Briefly" in scenario.prompts.render("attempt", question="Q")[0].content


@pytest.mark.parametrize(
    ("extending", "fault"),
    [
        ("extends: nowhere.yaml", "a.yaml:1: extends: there is no file"),
        ("title: A\nextends: a.yaml", "a.yaml:2: extends: a.yaml extends this file"),
        ("title: A\nextends: b.yaml", "b.yaml:1: extends: a.yaml extends this file"),
        ("extends: [b.yaml]", "a.yaml:1: extends: should be the path of a scenario file"),
        ("extends: list.yaml", "list.yaml:1: should be a mapping"),
        ("extends: hints.yaml\nroles: {beginner: {}}", "hints.yaml:16: role 'coach'"),
        ("title: A\nextends: bad.yaml", "bad.yaml:16: role 'couch'"),
        ("extends: hints.yaml\nstep: []", "a.yaml:2: step: there is no such key; is steps meant?"),
    ],
)
def test_a_fault_of_an_extending_file_is_named_with_the_file_that_has_it(
    tmp_path: Path, extending: str, fault: str
) -> None:
    write(tmp_path / "f")
    files = {
        "a": extending,
        "b": "extends: a.yaml",
        "list": "- one",
        "bad": GOOD.replace("role: coach", "role: couch"),
    }
    for name, text in files.items():
        (tmp_path / "f" / f"{name}.yaml").write_text(text)
    found = [one.replace(f"{tmp_path}/f/", "") for one in faults(tmp_path / "f")]
    assert any(one.startswith(fault) for one in found), found
