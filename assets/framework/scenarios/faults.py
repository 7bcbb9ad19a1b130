"""What is wrong with a declaration although each of its values is valid: its parts must fit each other.

A fault is a path in the file, such as `("steps", 2, "sees")`, and what is wrong there.
"""

from collections.abc import Iterator, Mapping, Set
from itertools import chain

from assets.framework.scenarios.declaration import (
    FOR_ALL,
    GIVEN,
    MOST_REPETITIONS,
    QUESTIONS,
    REFERENCES,
    Pose,
    Repeat,
    Say,
    ScenarioDeclaration,
    Turn,
)
from resources.configuration import Place, unknown_name

Fault = tuple[Place, str]


def declaration_faults(declaration: ScenarioDeclaration) -> list[Fault]:
    """Everything in a declaration that does not fit together; nothing of it needs the prompts."""
    faults = [
        *_names_of_turns(declaration),
        *_unused(declaration),
        *chain.from_iterable(_values(declaration, path, turn) for path, turn, _ in declaration.walk()),
        *_judged(declaration),
        *_prompts_of_two_forms(declaration),
    ]
    unknown = [*_speakers(declaration), *_loops(declaration)]
    # Sides and what a role can see follow from speakers, roles and loops.
    return faults + list(dict.fromkeys(unknown or [*_sides(declaration), *_leaks(declaration)]))


def prompt_faults(declaration: ScenarioDeclaration, placeholders: Mapping[str, Set[str]]) -> list[Fault]:
    """Prompts that want what their speaker does not see, and values that no prompt of a step uses.

    Args:
        declaration: a valid one.
        placeholders: those of each prompt file, by its name; without those that every prompt may use.
    """
    return [
        fault
        for path, turn, _ in declaration.walk()
        for fault in (
            _prompts_of(path, turn, placeholders) if isinstance(turn, Say) else _text_of(path, turn, placeholders)
        )
    ]


def _text_of(path: Place, turn: Pose, placeholders: Mapping[str, Set[str]]) -> Iterator[Fault]:
    if not turn.prompt:
        return
    if extra := sorted(placeholders[turn.prompt] - {turn.pose}):
        yield (*path, "prompt"), f"{turn.prompt}.txt wants {_braced(extra)}, but poses {{{turn.pose}}}"
    if turn.pose not in placeholders[turn.prompt]:
        yield (*path, "prompt"), f"{turn.prompt}.txt does not have {{{turn.pose}}}, which it poses; add it"


def _prompts_of(path: Place, turn: Say, placeholders: Mapping[str, Set[str]]) -> Iterator[Fault]:
    for name in turn.prompts:
        if hidden := sorted(placeholders[name] - set(turn.visible)):
            wanted = _braced(hidden)
            yield (*path, "sees"), f"{name}.txt wants {wanted}, which {turn.say!r} does not see; add it to `sees`"
    used = set().union(*(placeholders[name] for name in turn.prompts))
    if unused := sorted(set(turn.sees) - used):
        yield (*path, "sees"), f"no prompt of {turn.say!r} uses {_braced(unused)}; take it out of `sees`"


def _names_of_turns(declaration: ScenarioDeclaration) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, turn, _ in declaration.walk():
        if not isinstance(turn, Say):
            continue
        if turn.say in seen:
            yield (*path, "say"), f"there are two steps {turn.say!r}; give each its own name"
        if turn.say in GIVEN or turn.say in FOR_ALL:
            yield (*path, "say"), f"{turn.say!r} is the name of a given value; choose another name"
        seen.add(turn.say)


def _speakers(declaration: ScenarioDeclaration) -> Iterator[Fault]:
    by_heading: dict[str, str] = {}
    for name in declaration.speakers:
        if (other := by_heading.setdefault(name.casefold(), name)) != name:
            yield ("speakers", name), f"{name!r} and {other!r} are the same name but for capitals; rename one"
    for path, turn, _ in declaration.walk():
        if turn.speaker not in declaration.speakers:
            yield (
                (*path, "speaker"),
                f"speaker {turn.speaker!r}: {unknown_name('speaker', turn.speaker, declaration.speakers)}",
            )
        if isinstance(turn, Say) and turn.role not in declaration.roles:
            yield (*path, "role"), f"role {turn.role!r}: {unknown_name('role', turn.role, declaration.roles)}"


def _prompts_of_two_forms(declaration: ScenarioDeclaration) -> Iterator[Fault]:
    chats = {name for _, turn, _ in declaration.walk() if isinstance(turn, Say) for name in turn.prompts}
    for path, turn, _ in declaration.walk():
        if isinstance(turn, Pose) and turn.prompt in chats:
            yield (*path, "prompt"), f"{turn.prompt!r} is the prompt of a model too; a pose needs a file of its own"


def _unused(declaration: ScenarioDeclaration) -> Iterator[Fault]:
    turns = [turn for _, turn, _ in declaration.walk()]
    for name in sorted(set(declaration.speakers) - {turn.speaker for turn in turns}):
        yield ("speakers", name), f"speaker {name!r} has no turn"
    for name in sorted(set(declaration.roles) - {turn.role for turn in turns if isinstance(turn, Say)}):
        yield ("roles", name), f"role {name!r} has no turn"
    repeated = {step.repeat for step in declaration.steps if isinstance(step, Repeat)}
    for name in sorted(set(declaration.draws) - repeated):
        yield ("draws", name), f"no loop is repeated {name!r} times"
    variants = (variant for turn in turns if isinstance(turn, Say) for variant in turn.variants)
    for name in sorted(set(declaration.choices) - {name for one in variants for name in one.when.chosen or {}}):
        yield ("choices", name), f"no variant depends on the choice {name!r}"


def _loops(declaration: ScenarioDeclaration) -> Iterator[Fault]:
    for index, step in enumerate(declaration.steps):
        if not isinstance(step, Repeat):
            continue
        path: Place = ("steps", index)
        if isinstance(step.repeat, int) and not 1 <= step.repeat <= MOST_REPETITIONS:
            yield (*path, "repeat"), f"a loop runs 1 to {MOST_REPETITIONS} times, not {step.repeat}"
        elif isinstance(step.repeat, str) and step.repeat not in declaration.draws:
            yield (*path, "repeat"), f"draw {step.repeat!r}: {unknown_name('draw', step.repeat, declaration.draws)}"
        answering = {turn.speaker for turn in step.steps if isinstance(turn, Say) and turn.answers}
        if step.until_agree and len(set(step.until_agree)) == 1:
            yield (*path, "until_agree"), f"{step.until_agree[0]!r} always agrees with itself; name two speakers"
        for speaker in step.until_agree or ():
            if speaker not in answering:
                yield (*path, "until_agree"), f"{speaker!r} has no turn with `answers` in this loop, so never agrees"


def _values(declaration: ScenarioDeclaration, path: Place, turn: Turn) -> Iterator[Fault]:
    """Names of values and of earlier steps that a turn refers to."""
    earlier = _said_before(declaration, turn)
    if not isinstance(turn, Say):
        if turn.praises:
            yield from _reference_to(earlier, (*path, "praises"), turn.praises)
        return
    for key in ("sees", "may_see"):
        for name in getattr(turn, key):
            if name not in GIVEN and name not in earlier:
                known = [*GIVEN, *earlier]
                yield (*path, key), f"{turn.say!r} sees {name!r}: {unknown_name('value', name, known)}"
    if turn.reviews:
        yield from _reference_to(earlier, (*path, "reviews"), turn.reviews)
    for index, variant in enumerate(turn.variants):
        for fact in ("right", "wrong"):
            if name := getattr(variant.when, fact):
                yield from _reference_to(earlier, (*path, "variants", index, "when"), name)
        for choice, value in (variant.when.chosen or {}).items():
            at = (*path, "variants", index, "when", "chosen", choice)
            if choice not in declaration.choices:
                yield at, f"choice {choice!r}: {unknown_name('choice', choice, declaration.choices)}"
            elif value not in declaration.choices[choice]:
                yield (
                    at,
                    f"choice {choice!r}, value {value!r}: {unknown_name('value', value, declaration.choices[choice])}",
                )


def _reference_to(earlier: Mapping[str, Say], path: Place, name: str) -> Iterator[Fault]:
    if name not in earlier:
        yield path, f"step {name!r}: {unknown_name('step', name, earlier)}"
    elif not earlier[name].answers:
        yield path, f"step {name!r} has no `answers`, so it is neither right nor wrong"


def _said_before(declaration: ScenarioDeclaration, turn: Turn) -> dict[str, Say]:
    """The steps whose text is there, whenever this turn comes."""
    found: dict[str, Say] = {}
    for _, one, _ in declaration.walk():
        if one is turn:
            break
        if isinstance(one, Say):
            found[one.say] = one
    return found


def _judged(declaration: ScenarioDeclaration) -> Iterator[Fault]:
    judged = [(path, turn, loop) for path, turn, loop in declaration.walk() if isinstance(turn, Say) and turn.judged]
    if not judged:
        yield ("steps",), "no step is judged; mark the closing answer with `judged: true`"
    for path, turn, loop in judged:
        if loop:
            yield (*path, "judged"), f"{turn.say!r} is in a loop; only a turn that comes once can be judged"
        if not turn.answers:
            yield (*path, "judged"), f"{turn.say!r} is judged, so it needs `answers`"
    answered = [turn.answers for _, turn, _ in judged]
    if answered != list(QUESTIONS[: len(judged)]) and all(answered):
        yield ("steps",), "the judged turns have to answer `question`, then `similar_question`, each once"


def _sides(declaration: ScenarioDeclaration) -> Iterator[Fault]:
    """Turns of the two sides alternate, begin with `human` and end with `gpt`, however often loops run."""
    previous: Turn | None = None
    for path, turn in _order(declaration):
        side = declaration.speakers[turn.speaker].side
        if previous is None and side != "human":
            yield path, f"the first turn is {turn.speaker!r}, of side gpt; a conversation begins with side human"
        elif previous is not None and side == declaration.speakers[previous.speaker].side:
            yield path, f"{turn.speaker!r} follows {previous.speaker!r}, both of side {side}; sides have to alternate"
        previous = turn
    if previous and declaration.speakers[previous.speaker].side != "gpt":
        yield ("steps",), f"the last turn is {previous.speaker!r}, of side human; a conversation ends with side gpt"


def _order(declaration: ScenarioDeclaration) -> Iterator[tuple[Place, Turn]]:
    """Every turn after every turn that can come before it: each loop runs as often as it ever does."""
    for index, step in enumerate(declaration.steps):
        if not isinstance(step, Repeat):
            yield ("steps", index), step
            continue
        most = step.repeat if isinstance(step.repeat, int) else max(declaration.draws[step.repeat])
        for _ in range(most):
            for inner, turn in enumerate(step.steps):
                yield ("steps", index, "steps", inner), turn


def _leaks(declaration: ScenarioDeclaration) -> Iterator[Fault]:
    """Weak roles that can see a reference, directly or in the words of somebody who did."""
    knows: dict[str, str] = {}  # step -> through what its speaker knows a reference
    speakers: dict[str, str] = {}  # speaker -> a step in which he knew one
    found: set[Place] = set()
    for path, turn in _order(declaration):
        if not isinstance(turn, Say):
            continue
        for value in turn.visible:
            via = _way_to_reference(value, turn.speaker, knows, speakers)
            if via is None:
                continue
            if declaration.roles[turn.role].weak and path not in found:
                found.add(path)
                yield (
                    (*path, "sees"),
                    f"role {turn.role!r} is weak, but {turn.say!r} sees a reference answer through {via}; "
                    "take that out of `sees`, or use a role that is not weak",
                )
            knows.setdefault(turn.say, value)
            speakers.setdefault(turn.speaker, turn.say)


def _way_to_reference(value: str, speaker: str, knows: Mapping[str, str], speakers: Mapping[str, str]) -> str | None:
    if value in REFERENCES:
        return f"`{value}`"
    if value in knows:
        return f"`{value}`, whose speaker saw `{knows[value]}`"
    if value == "dialogue" and knows:
        step = next(iter(knows))
        return f"`dialogue`, which has `{step}`"
    if value == "own_turns" and speaker in speakers:
        return f"`own_turns`, which has `{speakers[speaker]}`"
    return None


def _braced(names: list[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
