"""Publishing the browser of a release: an immutable folder, the pointer to the latest moves last.

dialogue_browser/<release id>/<edition>/    see `assets.dialogue_browser.writing`; manifest.json last
dialogue_browser/latest.json                which of them is the latest
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.boost_qa.release import Release, latest_release
from assets.dialogue_browser.page import page_html
from assets.dialogue_browser.schema import LISTED
from assets.dialogue_browser.writing import FORMAT, write_browser
from resources.identity import stable_hash
from resources.lake.published_folders import (
    NotPublished,
    latest_folder,
    move_latest,
    publish,
    read_latest,
    read_manifest,
)
from resources.lake.tables import Lake

HOME = LISTED.name


class NoBrowser(NotPublished):
    """There is no dialogue browser yet."""

    kind = "dialogue browser"


@dataclass(frozen=True, slots=True)
class Browser:
    """A published dialogue browser."""

    folder: str  # relative to the lake's root
    manifest: dict[str, Any]


def browser_folder(release: Release) -> str:
    """Where the browser of a release lies; another edition of the page is another folder."""
    return f"{HOME}/{release.id}/{stable_hash(FORMAT, page_html().decode())[:8]}"


def make_browser(lake: Lake) -> Browser:
    """Publish the browser of the latest release, or find that it is there.

    Raises:
        NoRelease: there is no release yet.
        BrowserError: its dialogues cannot be gathered.
        Overtaken: another run published another browser meanwhile.
        StoreError: the lake cannot be read or written.
    """
    started_from = read_latest(lake.store, HOME)
    release = latest_release(lake)
    folder = browser_folder(release)
    try:
        manifest = read_manifest(lake.store, folder, NoBrowser)
    except NoBrowser:
        with tempfile.TemporaryDirectory(prefix="dialogue_browser-") as name:
            staged = Path(name)
            written = write_browser(lake, release, staged)
            told = {
                "format": FORMAT,
                "kind": HOME,
                "id": folder.removeprefix(f"{HOME}/"),
                "release": release.id,
                "release_folder": release.folder,
                "dialogues": written.dialogues,
                "counts": written.counts,
                "pages": written.pages,
            }
            manifest = publish(lake.store, staged, folder, told)
    move_latest(lake.store, HOME, {"id": manifest["id"], "folder": folder}, started_from)
    return Browser(folder, manifest)


def latest_browser(lake: Lake) -> Browser:
    """The browser that `latest.json` points to.

    Raises:
        NoBrowser: none was published yet, or its manifest is not there.
    """
    folder = latest_folder(lake.store, HOME, NoBrowser)
    return Browser(folder, read_manifest(lake.store, folder, NoBrowser))
