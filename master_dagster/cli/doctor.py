"""`doctor`: whether everything that a run needs is there and works."""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial

import typer
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from master_dagster.doctor.configuration import (
    check_configuration,
    check_keys,
    check_secrets,
    check_seeds,
    check_settings,
)
from master_dagster.doctor.findings import Check, Finding, SetUp, read_set_up, run_checks
from master_dagster.doctor.hub import check_hub
from master_dagster.doctor.machine import check_disk, check_extras, check_instance, check_lake, check_servers
from master_dagster.doctor.models import check_embedder, check_models
from master_dagster.doctor.trainer import check_trainer
from master_dagster.terminal import console, print_json
from resources.chat.redaction import Redactor

STYLES = {"ok": "green", "warning": "yellow", "fault": "red", "skipped": "dim"}
MARGIN = " " * 19


def doctor(as_json: bool, calls: bool) -> None:
    """Run every check, print each finding as soon as it is there, and exit with 1 where a run would fail.

    Args:
        as_json: print one JSON object at the end instead.
        calls: whether each model and the embedder are asked once, and datasets of the hub are read.
    """
    findings = []
    logging.disable(logging.WARNING)  # findings have the causes
    try:
        for finding in find(read_set_up(), calls):
            findings.append(finding)
            if not as_json:
                show(finding)
    finally:
        logging.disable(logging.NOTSET)
    faults = sum(finding.status == "fault" for finding in findings)
    if as_json:
        print_json({"ready": not faults, "findings": [asdict(finding) for finding in findings]})
    elif faults:
        console.print(f"A run would fail: {faults} {'fault' if faults == 1 else 'faults'}.", style="red")
    else:
        console.print("Everything that a run needs is there. Next: master-dagster try -n 5", style="green")
    if faults:
        raise typer.Exit(1)


def find(set_up: SetUp, calls: bool) -> Iterator[Finding]:
    """The findings of every check, without secrets."""
    checks: list[tuple[str, Check]] = [
        ("settings", check_settings),
        ("files", check_configuration),
        ("seeds", partial(check_seeds, calls=calls)),
        ("keys", check_keys),
        ("secrets", check_secrets),
        ("lake", check_lake),
        ("instance", check_instance),
        ("disk", check_disk),
        ("extras", check_extras),
        ("servers", check_servers),
        ("trainer", partial(check_trainer, calls=calls)),
        ("hub", partial(check_hub, calls=calls)),
    ]
    if calls:
        checks += [("models", check_models), ("embedder", check_embedder)]
    yield from without_secrets(run_checks(checks, set_up), set_up)
    if not calls:
        yield Finding("models", "skipped", "no model was called, because of --no-calls")


def without_secrets(findings: Iterable[Finding], set_up: SetUp) -> Iterator[Finding]:
    """The findings, with the keys of all endpoints removed from their messages."""
    endpoints = set_up.profile.endpoints.values() if set_up.profile else ()
    redactors = [
        Redactor(os.environ.get(endpoint.api_key_env, "").strip()) for endpoint in endpoints if endpoint.api_key_env
    ]
    for finding in findings:
        message = finding.message
        for redactor in redactors:
            message = redactor.text(message)
        yield replace(finding, message=message)


def show(finding: Finding) -> None:
    """Print a finding; on a terminal, its lines are wrapped beside the name of the check."""
    texts = [finding.message, *([f"→ {finding.remedy}"] if finding.remedy else [])]
    status = Text(f"{finding.status:<8}", style=STYLES[finding.status]), Text(f"{finding.check:<10} ", style="bold")
    if console.is_terminal:
        grid = RichTable.grid(Column(width=8), Column(width=11), Column(overflow="fold"))
        grid.add_row(*status, Text("\n".join(texts)))
        console.print(grid)
    else:
        indented = "\n".join(texts).replace("\n", f"\n{MARGIN}")
        console.print(Text.assemble(*status, indented), soft_wrap=True)
