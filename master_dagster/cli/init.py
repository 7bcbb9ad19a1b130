"""`init`: a project of a user's own from files or datasets of questions and answers."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import typer

from assets.seeds.configuration import Domain, SeedsConfiguration, SourceConfiguration
from assets.seeds.inspection import (
    Content,
    Rows,
    describe_forms,
    fields_with_values,
    find_candidates,
    guess_domain,
    guess_language,
    has_several_texts,
    read_content,
    read_first_rows,
)
from assets.seeds.reading import COMPRESSIONS, FORMATS
from assets.seeds.rows import RejectedRow, SeedsError, beginning
from master_dagster.new_project import (
    ModelChoice,
    check_folder,
    check_profile,
    embedded_model_is_installed,
    profile_text,
    seeds_text,
    source_name,
    write_project,
)
from master_dagster.terminal import console
from resources.configuration import ConfigurationError, fault_list, validate

EXAMPLE_CHARACTERS = 90
NO_LICENCE = "not stated"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class SourceChoice:
    """What the command line says of every source; None and empty lists are found out."""

    question: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    conversations: str | None = None
    domain: str | None = None
    language: str | None = None
    licence: str | None = None
    sample: int | None = None
    rows_in: str | None = None
    encoding: str | None = None
    config: str | None = None
    split: str | None = None


def init(folder: Path, given: Sequence[str], sources: SourceChoice, models: ModelChoice, yes: bool) -> None:
    """Look at every file or dataset, ask what is not clear, and write the project's files.

    Args:
        folder: where the project will be.
        given: paths, globs, `s3://` addresses and ids of hub datasets, each for one source.
        sources: what is known of them.
        models: which models to use.
        yes: do not ask.

    Raises:
        ConfigurationError: a file cannot be read or understood, an option is wrong, or a file of the project exists.
    """
    check_folder(folder)
    if not yes and not sys.stdin.isatty():
        raise ConfigurationError("there is no terminal to ask on: give --yes to accept what is found")
    if models.endpoint or yes:
        check_profile(profile_text(models))
    described: list[dict[str, Any]] = []
    for one in given:
        name = source_name(one, [source["name"] for source in described])
        described.append(_described(one, name, sources, yes))
    if not yes:
        models = _ask_for_models(models)
    profile = check_profile(profile_text(models))
    names = ", ".join(source["name"] for source in described)
    written = write_project(folder, seeds_text(folder, described), profile, models.key_variable, names)
    _show_next(folder, written, models)


# -- sources -----------------------------------------------------------------------------------------------------------


def _described(given: str, name: str, choice: SourceChoice, yes: bool) -> dict[str, Any]:
    """The source's entry in the seeds configuration, after it was shown and, without `yes`, agreed to."""
    place = _place(given, choice)
    try:
        rows = read_first_rows(*_configured(place | {"name": name, "conversations": True}))
    except SeedsError as error:
        raise ConfigurationError(_with_options(str(error))) from None
    while True:
        entry, content = _entry(given, name, place, rows, choice, yes)
        _show_source(given, rows, entry, content)
        if yes or typer.confirm("Is this right?", default=True):
            break
        choice = _ask_for_source(entry, rows, choice)
    if not yes and choice.licence is None:
        entry["licence"] = typer.prompt("Licence of the data, for the card of every release", default=NO_LICENCE)
    return entry


def _place(given: str, choice: SourceChoice) -> dict[str, Any]:
    """Where a source is, as keys of its entry: `files` with absolute paths, or `hub`."""
    path = Path(given).expanduser()
    is_file_name = any(given.lower().endswith((ending, *(ending + one for one in COMPRESSIONS))) for ending in FORMATS)
    dataset = {"config": choice.config, "split": choice.split}
    if path.is_dir():
        return {"hub": {"id": str(path.absolute())} | _without_none(dataset)}
    if given.startswith("s3://"):
        return {"files": [given]} | _without_none({"rows_in": choice.rows_in, "encoding": choice.encoding})
    if HUB_ID.fullmatch(given) and not path.parent.is_dir() and not is_file_name:
        return {"hub": {"id": given} | _without_none(dataset)}
    return {"files": [str(path.absolute())]} | _without_none({"rows_in": choice.rows_in, "encoding": choice.encoding})


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _configured(entry: Mapping[str, Any]) -> tuple[SourceConfiguration, SeedsConfiguration]:
    """A source of an entry, and a seeds configuration of it alone. Raises ConfigurationError."""
    entry = {"domain": "general", "licence": NO_LICENCE} | dict(entry)
    try:
        configuration = validate({"sources": [entry]}, SeedsConfiguration, "these options are not valid:", Path())
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("- sources.0.", "- --")) from None
    return configuration.sources[0], configuration


def _with_options(message: str) -> str:
    """A message about a file; where it names keys of a seeds configuration, with the options that write them."""
    return f"{message} (options --rows-in, --encoding)" if "into its source" in message else message


def _entry(
    given: str, name: str, place: Mapping[str, Any], rows: Rows, choice: SourceChoice, yes: bool
) -> tuple[dict[str, Any], Content]:
    """The source's entry by what its rows hold and the command line says, and what it finds in the rows.

    Raises:
        ConfigurationError: the fields are not clear, or no row has a question and an answer in them.
    """
    entry: dict[str, Any] = {"name": name} | dict(place) | _fields(given, rows, choice, yes)
    content = read_content(rows.rows, *_configured(entry))
    if not content.pairs:
        first = f"; the first row: {content.rejected[0].detail}" if content.rejected else ""
        raise ConfigurationError(
            f"{given}: none of the first {len(rows.rows):,} rows has a question and an answer"
            f"{first}. Name the fields with --question and --answer"
        )
    entry["domain"] = choice.domain or guess_domain(content.pairs)
    entry["language"] = choice.language or guess_language(content.pairs)
    entry["licence"] = choice.licence or NO_LICENCE
    entry["sample"] = choice.sample
    source, configuration = _configured(entry)
    entry["language"] = source.language
    entry["forms"] = describe_forms(rows, content, source, configuration)
    return entry, content


def _fields(given: str, rows: Rows, choice: SourceChoice, yes: bool) -> dict[str, Any]:
    """`fields` or `conversations` of the entry; asks where they are not clear, or raises ConfigurationError."""
    found = find_candidates(rows.values)
    every_field = fields_with_values(rows.values)
    if not every_field:
        first = "".join(f"; the first row: {row.detail}" for row in rows.rows[:1] if isinstance(row, RejectedRow))
        raise ConfigurationError(f"{given}: has no row with fields{first}")
    faults: list[str] = []

    def settle(kind: str, chosen: Sequence[str], candidates: Sequence[str]) -> list[str]:
        if chosen or len(candidates) == 1:
            return list(chosen) or list(candidates)
        if not yes:
            return _ask_for_fields(kind, candidates, every_field)
        faults.append(_unclear(kind, candidates, every_field))
        return []

    if choice.conversations or (found.conversations and not choice.question and not choice.answer):
        named = [choice.conversations] if choice.conversations else []
        settled: dict[str, Any] = {"conversations": "".join(settle("conversations", named, found.conversations)[:1])}
        settled |= {"system": found.systems[0]} if len(found.systems) == 1 else {}
    else:
        question = settle("question", choice.question, found.questions)
        contexts = [] if choice.question else [name for name in found.contexts if name not in question]
        answer = settle("answer", choice.answer, found.answers)
        fields: dict[str, Any] = {"question": _one_or_all([*question, *contexts]), "answer": _one_or_all(answer)}
        if len(found.systems) == 1:
            fields["system"] = found.systems[0]
        if any(has_several_texts(rows.values, name) for name in answer):
            fields["list_answer"] = "first"
        settled = {"fields": fields}
    if faults:
        raise ConfigurationError(fault_list(f"{given}: it is not clear which fields to use:", faults))
    return settled


def _one_or_all(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _unclear(kind: str, candidates: Sequence[str], every_field: Sequence[str]) -> str:
    """Why the fields of a kind are not clear, and the option that settles it."""
    if candidates:
        options = " or ".join(f"--{kind} {name}" for name in candidates)
        return f"{' and '.join(candidates)} may each hold the {kind}: give {options}"
    shown = beginning(", ".join(every_field), 300)
    return f"no field looks like the {kind}; the fields are {shown}: give --{kind} FIELD"


# -- questions to the user ---------------------------------------------------------------------------------------------


def _ask_for_fields(kind: str, candidates: Sequence[str], every_field: Sequence[str]) -> list[str]:
    """The fields that the user names for a kind, separated by commas."""
    console.print(f"Fields: {', '.join(every_field)}", markup=False, soft_wrap=True)
    while True:
        answer = str(typer.prompt(f"Which field is the {kind}?", default=next(iter(candidates), None)))
        named = [name.strip() for name in answer.split(",") if name.strip()]
        if named and not set(named).difference(every_field):
            return named
        console.print(f"There is no field {', '.join(sorted(set(named).difference(every_field)))!r}.", markup=False)


def _ask_for_source(entry: Mapping[str, Any], rows: Rows, choice: SourceChoice) -> SourceChoice:
    """What the user says of a source whose findings are not right."""
    every_field = fields_with_values(rows.values)
    fields = entry.get("fields")
    if fields:
        named = {kind: fields[kind] for kind in ("question", "answer")}
        named = {kind: [names] if isinstance(names, str) else names for kind, names in named.items()}
        question = _ask_for_fields("question", [", ".join(named["question"])], every_field)
        answer = _ask_for_fields("answer", [", ".join(named["answer"])], every_field)
        choice = replace(choice, question=question, answer=answer)
    domain = None
    while domain not in get_args(Domain):
        domain = typer.prompt(f"Domain ({', '.join(get_args(Domain))})", default=entry["domain"])
    language = typer.prompt("Language of the questions", default=entry["language"])
    return replace(choice, domain=domain, language=language)


def _ask_for_models(models: ModelChoice) -> ModelChoice:
    """The models that the user names; those of the command line are not asked for."""
    endpoint = models.endpoint or typer.prompt(
        "Address of an OpenAI-compatible endpoint, such as https://api.openai.com/v1 (empty: the embedded model)",
        default="",
        show_default=False,
    )
    if not endpoint:
        return models
    model = models.model or typer.prompt("Name of the model at the endpoint")
    variable = models.key_variable
    if models.endpoint is None and variable is None:
        default = "OPENAI_API_KEY" if endpoint.startswith("https://") else ""
        variable = typer.prompt(
            "Environment variable that holds the key (empty: no key)", default=default, show_default=bool(default)
        )
    return replace(models, endpoint=endpoint, model=model, key_variable=variable or None)


# -- what is printed ---------------------------------------------------------------------------------------------------


def _show_source(given: str, rows: Rows, entry: Mapping[str, Any], content: Content) -> None:
    """Print what was found in a source."""
    count = f"{rows.count:,}" if rows.is_complete else f"more than {rows.count:,}"
    console.print(f"{given}: {count} rows", style="bold", markup=False, soft_wrap=True)
    fields = entry.get("fields")
    if fields:
        texts = {kind: fields[kind] for kind in ("question", "answer", "system") if kind in fields}
        lines = {kind: names if isinstance(names, str) else " + ".join(names) for kind, names in texts.items()}
        if "list_answer" in fields:
            lines["answer"] += ", the first of several"
    else:
        lines = {"conversations": f"{entry['conversations']}, the first question and answer of each"}
        lines |= {"system": entry["system"]} if "system" in entry else {}
    pair = content.pairs[0]
    lines |= {key: str(entry[key]) for key in ("domain", "language", "licence")}
    lines |= (
        {"found": "\n                ".join(line.partition("# ")[2] for line in entry["forms"])}
        if entry["forms"]
        else {}
    )
    lines["example"] = f"{beginning(pair.question, EXAMPLE_CHARACTERS)}"
    lines[""] = f"→ {beginning(pair.answer, EXAMPLE_CHARACTERS)}"
    for key, value in lines.items():
        console.print(f"  {key:<13} {value}", markup=False, soft_wrap=True)
    limit = SeedsConfiguration.model_fields["max_rejected_share"].default
    if content.rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in content.reasons.most_common(3))
        advice = (
            f" A run refuses a source with more than {limit:.0%} of them: correct the rows, or raise "
            "max_rejected_share in seeds.yaml."
            if content.rejected_share > limit
            else ""
        )
        console.print(
            f"  {len(content.rejected):,} of the first {len(rows.rows):,} rows cannot be used ({reasons}).{advice}\n"
            f"  The first: {content.rejected[0].detail}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def _show_next(folder: Path, written: Sequence[str], models: ModelChoice) -> None:
    """Print what was written and which commands come next."""
    console.print(f"Wrote {', '.join(written)} in {folder.absolute()}.", markup=False, soft_wrap=True)
    if models.endpoint is None or models.embedding_model is None:
        needed = "The embedded model" if models.endpoint is None else "The search for similar questions"
        if not embedded_model_is_installed():
            console.print(f"{needed} needs the extra `local`, which is not installed.", style="yellow", markup=False)
    steps = [] if folder.absolute() == Path.cwd() else [f"cd {folder}"]
    if models.key_variable and models.key_variable not in os.environ:
        steps.append(f"echo {models.key_variable}=… >> .env  # the key of your endpoint")
    steps += [
        "master-dagster doctor    # checks the set-up",
        "master-dagster try -n 5  # a few dialogues, to look at",
        "master-dagster run       # everything, after an estimate",
    ]
    console.print("Next:", *(f"  {step}" for step in steps), sep="\n", markup=False, soft_wrap=True)
