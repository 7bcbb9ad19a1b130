"""Makes the pictures of the documentation from a running UI: `make screenshots`, while `make ui` runs elsewhere.

Needs Debian's Chromium. The pictures show whatever the lake of the UI has; after `make demo` that is the demo.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, TimeoutError, sync_playwright

FOLDER = Path(__file__).parent
GROUPS = ("seeds", "dialogues", "releases", "training", "evaluation")
WAIT = 3500  # milliseconds, for the layout of the graph


def graph(page: Page, address: str) -> None:
    """The asset graph with every group open."""
    page.goto(f"{address}/asset-groups")
    page.wait_for_timeout(WAIT)
    for group in GROUPS:
        try:
            page.locator(f"xpath=//*[name()='svg']//*[text()='{group}']").first.click(timeout=2500)
        except TimeoutError:  # the group is open already, or there is none of this name
            continue
        page.reload()
        page.wait_for_timeout(WAIT)
    page.locator("svg").filter(has_text="raw_seeds").last.screenshot(path=FOLDER / "graph.png")


def main(address: str) -> None:
    """Make every picture."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page(viewport={"width": 2750, "height": 1500})
        graph(page, address)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000")
