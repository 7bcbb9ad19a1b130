"""A scenario's declaration as a table of turns, for the dataset card and the documentation."""

from collections.abc import Iterator

from assets.framework.scenarios.declaration import Pose, Repeat, Say
from assets.framework.scenarios.scenario import Scenario


def turns_table(scenario: Scenario) -> list[dict[str, str]]:
    """One row per step: who speaks, on which side, played by which role, seeing what, and what holds for the turn."""
    rows = []
    for step in scenario.declaration.steps:
        if isinstance(step, Repeat):
            until = f", until {' and '.join(step.until_agree)} agree" if step.until_agree else ""
            often = f"{step.repeat} times" if isinstance(step.repeat, int) else _drawn(scenario, step.repeat)
            most = "at most " if step.until_agree else ""
            rows += [_row(scenario, turn, f"repeated {most}{often}{until}") for turn in step.steps]
        else:
            rows.append(_row(scenario, step, ""))
    return rows


def _row(scenario: Scenario, turn: Pose | Say, repeated: str) -> dict[str, str]:
    return {
        "speaker": turn.speaker,
        "side": scenario.side(turn.speaker) + (", loss" if scenario.trains(turn.speaker) else ""),
        "written by": turn.role.replace("_", " ") if isinstance(turn, Say) else "no model",
        "sees": ", ".join(name.replace("_", " ") for name in turn.visible) if isinstance(turn, Say) else "–",
        "notes": "; ".join(filter(None, [*_notes(turn), *_choices(scenario, turn), repeated])),
    }


def _notes(turn: Pose | Say) -> Iterator[str]:
    if isinstance(turn, Pose):
        yield f"poses the {turn.pose.replace('_', ' ')}"
        if turn.praises:
            yield f"calls {turn.praises.replace('_', ' ')} right"
        return
    if turn.begins_with:
        yield f"begins with the {turn.begins_with.replace('_', ' ')}"
    if turn.answers:
        yield f"answers the {turn.answers.replace('_', ' ')}"
    if turn.must_not_answer:
        yield "must not state the result"
    if turn.reviews:
        yield f"reviews {turn.reviews.replace('_', ' ')}"
    if turn.own_words:
        yield "in its own words"
    if turn.judged:
        yield "judged"


def _choices(scenario: Scenario, turn: Pose | Say) -> Iterator[str]:
    conditions = [variant.when for variant in turn.variants] if isinstance(turn, Say) else []
    for name in dict.fromkeys(name for when in conditions for name in when.chosen or {}):
        values = [value.replace("_", " ") for value in scenario.declaration.choices[name]]
        yield f"{name.replace('_', ' ')} chosen by dialogue: {' or '.join(values)}"


def _drawn(scenario: Scenario, name: str) -> str:
    numbers = [str(number) for number in sorted(scenario.declaration.draws[name])]
    return f"{' or '.join(numbers)} times"
