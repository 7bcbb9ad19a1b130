"""docs/deploy-aws.md names files, parameters, outputs and settings: they exist."""

import re
from pathlib import Path

import pytest

from master_dagster.settings import Settings

PROJECT = Path(__file__).parents[2]
GUIDE = (PROJECT / "docs" / "deploy-aws.md").read_text()
TEMPLATES = {"master": "master.yaml", "master-batch": "batch.yaml"}
NOT_OF_OURS = {"MASTER_INSTANCE", "MASTER_RUN_LOGS_BUCKET"}  # docker compose's and the instance's


def names_in(template: str, section: str) -> set[str]:
    text = (PROJECT / "infra" / "cloudformation" / template).read_text()
    return set(re.findall(r"^  (\w+):$", text.split(f"\n{section}:\n")[1].split("\n\n", 1)[0], re.MULTILINE))


def test_every_file_that_it_names_exists() -> None:
    named = set(re.findall(r"\b(?:infra|assets|docs|requirements)/[\w./-]+\.\w+", GUIDE))
    assert {path for path in named if not (PROJECT / path).exists()} == {"infra/.env"} & named


@pytest.mark.parametrize("stack", TEMPLATES)
def test_every_output_that_it_reads_exists(stack: str) -> None:
    asked = set(re.findall(rf"output {stack} (\w+)", GUIDE))
    if stack == "master":
        asked |= set(re.findall(r"(?:code-location|trainer):(\w+Repository)", GUIDE))
    assert asked
    assert asked <= names_in(TEMPLATES[stack], "Outputs")


@pytest.mark.parametrize("stack", TEMPLATES)
def test_every_parameter_that_it_sets_exists(stack: str) -> None:
    (command,) = re.findall(rf"--stack-name {stack} --template-file(.*?)\n(?:```|cat)", GUIDE, re.DOTALL)
    given = set(re.findall(r"\b([A-Z]\w+)=", command.split("--parameter-overrides")[1]))
    assert given
    assert given <= names_in(TEMPLATES[stack], "Parameters")


def test_every_setting_that_it_names_exists() -> None:
    ours = {f"MASTER_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bMASTER_[A-Z0-9_]+\b", GUIDE)) - ours == NOT_OF_OURS
