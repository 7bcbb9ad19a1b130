"""`open`: the page with every dialogue of the latest release."""

import os
import sys
import webbrowser

from assets.boost_qa.release import RELEASES
from assets.dialogue_browser.publishing import BROWSERS, browser_id
from master_dagster.deployment import Deployment, load_deployment
from master_dagster.steps import open_instance, run_step
from master_dagster.terminal import console
from resources.configuration import ConfigurationError

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def open_browser(print_only: bool) -> None:
    """Print where the page is and open it where there is a display.

    Args:
        print_only: open nothing.

    Raises:
        ConfigurationError: a setting is wrong, or there is no release yet.
        StepFailed: the page cannot be made.
    """
    deployment = load_deployment()
    lake, folder = deployment.lake(), browser_folder(deployment)
    page = lake.store.local_path(f"{folder}/index.html")
    if page is None:
        console.print(f"The page is on S3: {lake.store.uri(folder)}/index.html. To read it, copy its folder:")
        endpoint = (
            f" --endpoint-url {deployment.settings.s3_endpoint_url}" if deployment.settings.s3_endpoint_url else ""
        )
        copy = f"aws s3 cp --recursive {lake.store.uri(folder)} dialogue_browser{endpoint}"
        console.print(f"  {copy}\n  python3 -m webbrowser dialogue_browser/index.html", markup=False, soft_wrap=True)
        return
    console.print(str(page.resolve()), markup=False, soft_wrap=True)
    has_display = sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in DISPLAYS)
    if not print_only and not (has_display and webbrowser.open(page.resolve().as_uri())):
        console.print("There is no display here: copy the page's folder to a machine with a web browser.")


def browser_folder(deployment: Deployment) -> str:
    """The folder of the latest release's page, relative to the lake; the asset is materialised where it is not there.

    Raises:
        ConfigurationError: there is no release yet.
        StepFailed: the page cannot be made.
    """
    lake = deployment.lake()
    release = RELEASES.find_latest(lake)
    if release is None:
        raise ConfigurationError(
            f"there is no release in the lake at {lake.store.root}; run `master-dagster run` first"
        )
    folder = BROWSERS.folder(browser_id(release))
    if BROWSERS.find(lake, folder) is None:
        from master_dagster.graph import build_definitions

        with open_instance() as instance:
            run_step(build_definitions(deployment), instance, ["dialogue_browser"], None)
    return folder
