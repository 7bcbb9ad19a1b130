"""Checks of the latest report, on its published files and the rows that it is made of."""

import re
from collections.abc import Iterator

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    ResourceParam,
    multi_asset_check,
)

from assets.boost_qa.checks import wrong_files
from assets.dialogue_browser.publishing import HOME as BROWSER
from assets.framework.checks import found_result
from assets.framework.publication import NotPublished
from assets.report.inputs import NO_SEEDS, NothingScored, ReportInputs, read_inputs
from assets.report.making import FORMAT, HOME, REPORTS, Report, lineage
from assets.report.numbers import compute
from assets.report.published import load_published
from resources.lake.tables import Lake

COMPLETE = AssetCheckSpec(
    "complete",
    asset=HOME,
    description="latest.json points to a report whose manifest is there and whose files are what it says.",
)
CURRENT = AssetCheckSpec(
    "current", asset=HOME, description="It is made of what is scored and released now, and not of what was earlier."
)
REPRODUCED = AssetCheckSpec(
    "numbers_reproducible", asset=HOME, description="Its numbers, computed anew from the stored rows, are the same."
)
OFFLINE = AssetCheckSpec(
    "loads_nothing",
    asset=HOME,
    description="The page loads nothing, runs no script, and leads nowhere but to the lake's dialogue browser.",
)

_ACTIVE = re.compile(
    r"<(?:script|iframe|object|embed|form|base)\b[^>]*>"
    r"|<[a-z][^>]*\s(?:on[a-z]+|src|srcset|action|formaction)\s*=[^>]*>"
    rf"|<(?:a|link|use|image)\b[^>]*\shref=\"(?!#|data:,|\.\./\.\./{BROWSER}/[0-9a-f/]+index\.html\")[^>]*>",
    re.IGNORECASE,
)


@multi_asset_check(name=f"{HOME}_checks", specs=[COMPLETE, CURRENT, REPRODUCED, OFFLINE], can_subset=True)
def experiment_report_checks(
    context: AssetCheckExecutionContext, lake: ResourceParam[Lake]
) -> Iterator[AssetCheckResult]:
    """All checks of the latest report."""
    asked = {key.name for key in context.selected_asset_check_keys}
    try:
        report = REPORTS.latest(lake)
        inputs = read_inputs(lake, report.numbers["bases"], report.numbers.get("seed_of", NO_SEEDS))
    except (NotPublished, NothingScored) as error:
        for name in sorted(asked):
            yield found_result(HOME, name, [{"fault": str(error)}])
        return
    changed = changes(report, inputs)
    if COMPLETE.name in asked:
        yield found_result(HOME, COMPLETE.name, wrong_files(lake, report.folder, report.manifest["files"]))
    if CURRENT.name in asked:
        yield found_result(HOME, CURRENT.name, changed, AssetCheckSeverity.WARN)
    if REPRODUCED.name in asked:
        # rows that were written since give other numbers, and so does another version; the check before this says so
        yield found_result(HOME, REPRODUCED.name, [] if changed else not_reproduced(report, inputs))
    if OFFLINE.name in asked:
        page = lake.store.get(f"{report.folder}/report.html").decode()
        yield found_result(HOME, OFFLINE.name, [{"found": found} for found in active_content(page)])


def changes(report: Report, inputs: ReportInputs) -> list[dict[str, str]]:
    """What was scored or released since the report was made, or that another version computes it otherwise."""
    told, now = report.manifest["lineage"], lineage(inputs)
    changed = [
        {"what": f"{row['base']}|{row['variant']}", "change": "scored since, or scored anew"}
        for row in now["partitions"]
        if row not in told["partitions"]
    ]
    kept = {(row["base"], row["variant"]) for row in now["partitions"]}
    changed += [
        {"what": f"{row['base']}|{row['variant']}", "change": "no longer there"}
        for row in told["partitions"]
        if (row["base"], row["variant"]) not in kept
    ]
    if told["release"] != now["release"]:
        changed.append({"what": "boost_qa", "change": "released anew"})
    if now["browser"] and told.get("browser") != now["browser"]:
        changed.append({"what": BROWSER, "change": "made since, so the page does not link to it"})
    if report.manifest["format"] != FORMAT:
        changed.append({"what": HOME, "change": "made by another version, whose numbers are found otherwise"})
    return changed


def not_reproduced(report: Report, inputs: ReportInputs) -> list[dict[str, str]]:
    """The parts of the numbers that the stored rows do not give."""
    anew = compute(inputs, load_published())
    return [
        {"part": name, "fault": "the stored rows give another value"}
        for name in sorted({*anew, *report.numbers})
        if anew.get(name) != report.numbers.get(name)
    ]


def active_content(page: str) -> list[str]:
    """Tags of a page that load something, lead away or run a script."""
    return [match[0][:120] for match in _ACTIVE.finditer(page)]
