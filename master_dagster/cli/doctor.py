"""`doctor`: whether everything that a run needs is there and works."""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial

import typer
from rich.text import Text

from master_dagster.doctor.configuration import (
    check_configuration,
    check_keys,
    check_secrets,
    check_seeds,
    check_settings,
)
from master_dagster.doctor.findings import Check, Finding, SetUp, read_set_up, run_checks
from master_dagster.doctor.machine import check_disk, check_extras, check_instance, check_lake
from master_dagster.doctor.models import check_embedder, check_models
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
    """Print a finding; further lines of its message are indented."""
    line = Text(f"{finding.status:<8}", style=STYLES[finding.status])
    line.append(f"{finding.check:<10} ", style="bold")
    line.append(finding.message.replace("\n", f"\n{MARGIN}"), style="default")
    if finding.remedy:
        line.append(f"\n{MARGIN}→ {finding.remedy}", style="default")
    console.print(line, soft_wrap=True)
