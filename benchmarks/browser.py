"""The dialogue browser of many dialogues: what it takes to write, and how soon a person sees the list.

    python -m benchmarks.browser
    python -m benchmarks.browser --dialogues 200000

Makes up a lake and a release (see `benchmarks.release`), of which a third is rejected and every score differs, writes
the browser in a process of its own, and opens it from the disk in headless Chromium: milliseconds from the start of the
navigation until the first line of the list shows its title, until another filter's list does, and until a word that
stands nowhere has been looked for in all that was said. Medians.
"""

import argparse
import json
import random
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import polars as pl
from playwright.sync_api import Page, sync_playwright

from assets.boost_qa.release import RELEASES
from assets.dialogue_browser.writing import write_browser
from assets.quality.schema import SCORED
from benchmarks.release import in_a_process_of_its_own, make_lake, release
from resources.lake.tables import Lake

REASONS = ("wrong_final_answer", "judged_wrong", "copied", "too_short", "not_english")
TIMES = 5
# Notes when the list first shows a title.
WATCH = """
    const look = () => {
        const title = document.querySelector("#list .title");
        if (title && title.textContent) document.documentElement.dataset.listed = performance.now();
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
"""
# The page forbids `eval`, so Playwright cannot wait for conditions in it.
WAIT = """([address, sign]) => new Promise((done) => {
    const started = performance.now();
    const look = () => {
        const said = document.getElementById("finder").textContent;
        if (said.includes(sign) && !said.includes("searching")) done(performance.now() - started);
        else requestAnimationFrame(look);
    };
    location.hash = address;
    look();
})"""


def synthetic_release(root: str, count: int, measurements: Path) -> None:
    """Write a lake of that many dialogues and publish a release of it."""
    make_lake(root, count)
    lake, draw = Lake.at(root), random.Random(0)
    for record in lake.records(SCORED):
        facts, frame = lake.facts(SCORED, record.keys), lake.read(SCORED, [record.keys])
        rejected = [draw.random() < 1 / 3 for _ in range(frame.height)]
        varied = frame.with_columns(
            quality_score=pl.Series([draw.random() for _ in rejected]),
            accepted=pl.Series([not one for one in rejected]),
            rejection_reasons=pl.Series([draw.sample(REASONS, draw.randint(1, 2)) if one else [] for one in rejected]),
        )
        lake.write(SCORED, record.keys, varied, fingerprint=record.fingerprint, facts=facts)
    release(root, measurements, exports=False)


def write(root: str, folder: Path, measurements: Path) -> None:
    """Write the browser, and what that took."""
    started = time.perf_counter()
    lake = Lake.at(root)
    written = write_browser(lake, RELEASES.latest(lake), folder)
    found = {
        "dialogues": written.dialogues,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time(),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    measurements.write_text(json.dumps(found))


def opened(folder: Path) -> dict[str, float]:
    """Milliseconds in Chromium, by what a person waits for."""
    seen: dict[str, list[float]] = {"list": [], "filter": [], "search": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(TIMES):
            page = browser.new_context().new_page()
            page.add_init_script(WATCH)
            page.goto((folder / "index.html").as_uri())
            seen["list"].append(float(page.locator("html[data-listed]").get_attribute("data-listed") or "nan"))
            seen["filter"].append(_waited(page, "scenario=debate&verdict=rejected&sort=best", "2 in use"))
        seen["search"].append(_waited(page, "q=nowhere-to-be-found", "0 of "))
        browser.close()
    return {name: statistics.median(times) for name, times in seen.items()}


def _waited(page: Page, address: str, sign: str) -> float:
    """Milliseconds from another address until the finder shows `sign` and nothing is being searched."""
    waited: float = page.evaluate(WAIT, [address, sign])
    return waited


def main() -> None:
    """Print what the browser took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=19_000)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    try:
        root, folder, measurements = str(scratch / "lake"), scratch / "browser", scratch / "measurements.json"
        in_a_process_of_its_own(synthetic_release, root, options.dialogues, measurements)
        in_a_process_of_its_own(write, root, folder, measurements)
        found = json.loads(measurements.read_text())
        first = sum((folder / name).stat().st_size for name in ("index.html", "index.js", "titles/00000.js"))
        whole = [path.stat().st_size for path in folder.rglob("*.*")]
        times = opened(folder)
    finally:
        shutil.rmtree(scratch)
    print(
        f"{found['dialogues']:,} dialogues written in {found['seconds']:.1f} s ({found['cpu_seconds']:.1f} s of CPU), "
        f"peak {found['peak_megabytes']:.0f} MB: {len(whole)} files, {sum(whole) / 1e6:.1f} MB"
    )
    print(f"first load {first / 1e3:.0f} kB; the list shows after {times['list']:.0f} ms")
    print(f"another filter {times['filter']:.0f} ms; a search of everything {times['search'] / 1000:.1f} s")


if __name__ == "__main__":
    main()
