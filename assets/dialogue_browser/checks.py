"""Checks of the latest dialogue browser, on its published files."""

from collections import Counter
from functools import cached_property
from typing import Any

from dagster import AssetChecksDefinition

from assets.boost_qa.release import RELEASES, Release, create_release_views
from assets.dialogue_browser.files import read_data_file
from assets.dialogue_browser.publishing import BROWSERS, HOME, Browser
from assets.dialogue_browser.schema import ACCEPTED
from assets.framework.check_files import Check
from assets.framework.checks import CheckRun, asset_checks
from assets.framework.publication import wrong_files
from resources.lake.tables import Lake


class BrowserCheckRun(CheckRun):
    """The latest browser and the release that it shows."""

    @cached_property
    def browser(self) -> Browser:
        """The latest browser."""
        return BROWSERS.latest(self.lake)

    @cached_property
    def release(self) -> Release:
        """Its release."""
        return RELEASES.read(self.lake, self.browser.manifest["release_folder"])


def misplaced(lake: Lake, browser: Browser, release: Release) -> list[dict[str, Any]]:
    """Dialogues of the release that are not there once, where the index says, and others that are there."""
    wanted, faults = _decided(lake, release), list[dict[str, Any]]()
    try:
        index = read_data_file(lake.store.get(f"{browser.folder}/index.js"))
        short, starts, place = index["columns"]["id"], index["pageStarts"], 0
        for page, start in enumerate(starts):
            if start != place:
                faults.append({"fault": f"page {page} begins at {place}, not at {start}"})
            for row in read_data_file(lake.store.get(f"{browser.folder}/dialogues/{page:05d}.js")):
                fault = _fault(row, short[place] if place < len(short) else None, wanted.pop(row["id"], None))
                faults += [{"dialogue": row["id"], "fault": fault}] if fault else []
                place += 1
    except FileNotFoundError as error:
        return [{"fault": f"{error} is missing"}]
    except ValueError as error:
        return [{"fault": str(error)}]
    if place != len(short):
        faults.append({"fault": f"the index lists {len(short)} dialogues, the pages hold {place}"})
    return faults + [{"dialogue": name, "fault": "is missing"} for name in sorted(wanted)]


def _fault(row: dict[str, Any], listed: str | None, verdict: str | None) -> str | None:
    if verdict is None:
        return "is there twice, or the release says nothing of it"
    if verdict != row["verdict"]:
        return f"is shown as {row['verdict']}, the release says {verdict}"
    if listed is None or not row["id"].startswith(listed):
        return f"is where the index lists {listed}"
    return None


def _decided(lake: Lake, release: Release) -> dict[str, str]:
    """What the release says of each of its dialogues."""
    with lake.connect([]) as connection:
        create_release_views(connection, lake, release, "released")
        rows = connection.execute(
            "SELECT id, $accepted FROM released UNION ALL SELECT dialogue_id, decision FROM released_removed",
            {"accepted": ACCEPTED},
        ).fetchall()
    return dict(rows)


def unreconciled(lake: Lake, browser: Browser, release: Release) -> list[dict[str, Any]]:
    """Verdicts of which the index lists another number of dialogues than the release's manifest, or than its own."""
    expected: Counter[str] = Counter({ACCEPTED: sum(release.manifest["rows"].values())})
    for removed in release.manifest["removed"]:
        expected[removed["decision"]] += removed["dialogues"]
    stated: Counter[str] = Counter()
    for counted in browser.manifest["counts"]:
        stated[counted["verdict"]] += counted["dialogues"]
    try:
        index = read_data_file(lake.store.get(f"{browser.folder}/index.js"))
    except FileNotFoundError as error:
        return [{"fault": f"{error} is missing"}]
    except ValueError as error:
        return [{"fault": str(error)}]
    verdicts = index["values"]["verdict"]
    listed = Counter(verdicts[code] for code in index["columns"]["verdict"])
    return [
        {"verdict": verdict, "listed": listed[verdict], "manifest": stated[verdict], "release": expected[verdict]}
        for verdict in sorted({*expected, *stated, *listed})
        if not listed[verdict] == stated[verdict] == expected[verdict]
    ]


ALL_CHECKS: list[Check[BrowserCheckRun]] = [
    Check(
        "complete",
        "latest.json points to a browser whose files are what its manifest says.",
        lambda run: wrong_files(run.lake, run.browser.folder, run.browser.manifest["files"]),
    ),
    Check(
        "every_dialogue_once",
        "Every dialogue that the release took or removed is there once, where the index says, and no other dialogue.",
        lambda run: misplaced(run.lake, run.browser, run.release),
    ),
    Check(
        "counts_reconcile",
        "The numbers of accepted, rejected and set-aside dialogues are those of the release's manifest.",
        lambda run: unreconciled(run.lake, run.browser, run.release),
    ),
]

CHECKS: list[AssetChecksDefinition] = [asset_checks(HOME, ALL_CHECKS, BrowserCheckRun)]
