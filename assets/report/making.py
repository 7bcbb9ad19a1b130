"""A report in the lake: numbers, page and Markdown, in a folder that never changes.

experiment_report/<id>/        numbers.json, report.html, report.md, scores.parquet, manifest.json last
experiment_report/latest.json  which of them is the latest
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assets.framework.publication import Manifest, Publication
from assets.framework.scenarios.scenario import Scenarios
from assets.report.findings import too_small
from assets.report.inputs import NO_SEEDS, ReportInputs, read_inputs
from assets.report.numbers import compute
from assets.report.pages import ReportContent, markdown, page, templates_version
from assets.report.published import load_published
from assets.report.schema import REPORT_SCORES
from resources.identity import stable_hash
from resources.lake.published_folders import write_json
from resources.lake.tables import Lake

FORMAT = 4
HOME = REPORT_SCORES.name


@dataclass(frozen=True, slots=True)
class Report:
    """A published report."""

    id: str
    folder: str  # relative to the lake's root
    manifest: Manifest
    numbers: dict[str, Any]


def _parse(lake: Lake, folder: str, manifest: Manifest) -> Report:
    return Report(manifest["id"], folder, manifest, json.loads(lake.store.get(f"{folder}/numbers.json")))


REPORTS = Publication(HOME, "report", FORMAT, _parse)


def make_report(
    lake: Lake, scenarios: Scenarios, bases: Iterable[str], seed_of: Mapping[str, str] = NO_SEEDS
) -> Report:
    """Publish the report on all that is scored; the same rows give the same report, written once.

    Args:
        lake: where everything is read and written.
        scenarios: those of the deployment.
        bases: base models that are configured; those without scores are said to be missing.
        seed_of: those that differ from another in the training seed alone, and from which.

    Raises:
        NothingScored: there is nothing to report on.
        Overtaken: another run published meanwhile.
        StoreError, TableError: it cannot be written.
    """
    run = REPORTS.begin(lake)
    inputs = read_inputs(lake, scenarios, bases, seed_of)
    published = load_published()
    numbers = compute(inputs, published)
    small = too_small(numbers, published)
    examples = [dict(row) for row in inputs.examples]
    report_id = stable_hash(HOME, FORMAT, numbers, small, examples, inputs.browser, templates_version())[:16]
    with run.temporary_folder() as staged:
        write_json(staged / "numbers.json", numbers)
        content = ReportContent(report_id, numbers, small, examples, inputs.browser)
        (staged / "report.html").write_text(page(content), encoding="utf-8")
        (staged / "report.md").write_text(markdown(content), encoding="utf-8")
        scores = REPORT_SCORES.schema.validate(REPORT_SCORES.frame(numbers["scores"]))
        scores.write_parquet(staged / "scores.parquet")
        return run.publish(staged, report_id, {"too_small": small, "lineage": lineage(inputs), "paid": paid_by(inputs)})


def paid_by(inputs: ReportInputs) -> dict[str, float]:
    """US dollars by the run that paid them: they differ between reports of the same numbers, so the id omits them."""
    found: dict[str, list[float]] = {}
    for row in inputs.usage:
        for payer, dollars in (one for payers in row["payers"] for one in payers.items()):
            found.setdefault(payer, []).append(dollars)
    return {payer: round(math.fsum(dollars), 6) for payer, dollars in found.items()}


def lineage(inputs: ReportInputs) -> dict[str, Any]:
    """What the report is made of: scored partitions by fingerprint, the declared scenarios, the release, the
    browser that it links to."""
    return {
        "partitions": [
            {name: row[name] for name in ("base", "variant", "fingerprint", "checkpoint")} for row in inputs.partitions
        ],
        "scenarios": [[name, one.short_name, one.title] for name, one in inputs.scenarios.items()],
        "release": inputs.release.id if inputs.release else None,
        "browser": inputs.browser,
    }
