"""Checks of the latest report, on its published files and the rows that it is made of."""

import re
from functools import cached_property

from dagster import AssetChecksDefinition, AssetCheckSeverity

from assets.dialogue_browser.publishing import HOME as BROWSER
from assets.framework.check_files import Check
from assets.framework.checks import CheckRun, NothingToCheck, asset_checks
from assets.framework.publication import wrong_files
from assets.report.inputs import NO_SEEDS, NothingScored, ReportInputs, read_inputs
from assets.report.making import FORMAT, HOME, REPORTS, Report, lineage
from assets.report.numbers import compute
from assets.report.published import load_published

_ACTIVE = re.compile(
    r"<(?:script|iframe|object|embed|form|base)\b[^>]*>"
    r"|<[a-z][^>]*\s(?:on[a-z]+|src|srcset|action|formaction)\s*=[^>]*>"
    rf"|<(?:a|link|use|image)\b[^>]*\shref=\"(?!#|data:,|\.\./\.\./{BROWSER}/[0-9a-f/]+index\.html\")[^>]*>",
    re.IGNORECASE,
)


class ReportCheckRun(CheckRun):
    """The latest report, and what a report would be made of now."""

    @cached_property
    def report(self) -> Report:
        """The latest report."""
        return REPORTS.latest(self.lake)

    @cached_property
    def inputs(self) -> ReportInputs:
        """Raises NothingToCheck where there are no scores."""
        numbers = self.report.numbers
        try:
            return read_inputs(
                self.lake, self.resources["scenarios"], numbers["bases"], numbers.get("seed_of", NO_SEEDS)
            )
        except NothingScored as error:
            raise NothingToCheck(str(error)) from None

    @cached_property
    def changes(self) -> list[dict[str, str]]:
        """What changed since the report was made."""
        return changes(self.report, self.inputs)

    @property
    def page(self) -> str:
        """The report as HTML."""
        return self.lake.store.get(f"{self.report.folder}/report.html").decode()


def changes(report: Report, inputs: ReportInputs) -> list[dict[str, str]]:
    """What was scored or released since the report was made; or that another version made the report."""
    then, now = report.manifest["lineage"], lineage(inputs)
    changed = [
        {"what": f"{row['base']}|{row['variant']}", "change": "scored since the report was made"}
        for row in now["partitions"]
        if row not in then["partitions"]
    ]
    kept = {(row["base"], row["variant"]) for row in now["partitions"]}
    changed += [
        {"what": f"{row['base']}|{row['variant']}", "change": "no longer there"}
        for row in then["partitions"]
        if (row["base"], row["variant"]) not in kept
    ]
    if then["release"] != now["release"]:
        changed.append({"what": "boost_qa", "change": "another release was made"})
    if then.get("scenarios", now["scenarios"]) != now["scenarios"]:
        changed.append({"what": "scenarios", "change": "declared in another way since the report was made"})
    if now["browser"] and then.get("browser") != now["browser"]:
        changed.append({"what": BROWSER, "change": "made since the report, so the page does not link to it"})
    if report.manifest["format"] != FORMAT:
        changed.append({"what": HOME, "change": "made by another version, which computes the numbers in another way"})
    return changed


def not_reproduced(report: Report, inputs: ReportInputs) -> list[dict[str, str]]:
    """The parts of the numbers that the stored rows do not give."""
    computed = compute(inputs, load_published())
    return [
        {"part": name, "fault": "the stored rows give another value"}
        for name in sorted({*computed, *report.numbers})
        if computed.get(name) != report.numbers.get(name)
    ]


def active_content(page: str) -> list[str]:
    """Tags of a page that load something, link to another site or run a script."""
    return [match[0][:120] for match in _ACTIVE.finditer(page)]


ALL_CHECKS: list[Check[ReportCheckRun]] = [
    Check(
        "complete",
        "latest.json points to a report with a manifest, and its files are what the manifest says.",
        lambda run: wrong_files(run.lake, run.report.folder, run.report.manifest["files"]),
    ),
    Check(
        "current",
        "The report is made of the scores and the release that are there now.",
        lambda run: run.changes,
        AssetCheckSeverity.WARN,
    ),
    Check(
        "numbers_reproducible",
        "The report's numbers, computed again from the stored rows, are the same.",
        # other rows give other numbers, and so does another version: the check `current` reports these
        lambda run: [] if run.changes else not_reproduced(run.report, run.inputs),
    ),
    Check(
        "loads_nothing",
        "The page loads nothing, runs no script, and links only to the lake's dialogue browser.",
        lambda run: [{"found": found} for found in active_content(run.page)],
    ),
]

CHECKS: list[AssetChecksDefinition] = [asset_checks(HOME, ALL_CHECKS, ReportCheckRun, ["scenarios"])]
