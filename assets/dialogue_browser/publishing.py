"""Publishing the browser of a release.

dialogue_browser/<release id>/<edition>/    see `assets.dialogue_browser.writing`; manifest.json last
dialogue_browser/latest.json                which of them is the latest
"""

from dataclasses import dataclass

from assets.boost_qa.release import RELEASES, Release
from assets.dialogue_browser.page import page_html
from assets.dialogue_browser.schema import LISTED
from assets.dialogue_browser.writing import FORMAT, write_browser
from assets.framework.publication import Manifest, Publication
from resources.identity import stable_hash
from resources.lake.tables import Lake

HOME = LISTED.name


@dataclass(frozen=True, slots=True)
class Browser:
    """A published dialogue browser."""

    folder: str  # relative to the lake's root
    manifest: Manifest


BROWSERS = Publication(HOME, "dialogue browser", FORMAT, lambda lake, folder, manifest: Browser(folder, manifest))


def browser_id(release: Release) -> str:
    """`<release id>/<edition>`: another version of the page is another edition."""
    return f"{release.id}/{stable_hash(FORMAT, page_html().decode())[:8]}"


def make_browser(lake: Lake) -> Browser:
    """Publish the browser of the latest release; one that is complete is not written again.

    Raises:
        NotPublished: there is no release yet.
        BrowserError: its dialogues cannot be gathered.
        Overtaken: another run published another browser meanwhile.
        StoreError: the lake cannot be read or written.
    """
    run = BROWSERS.begin(lake)
    release = RELEASES.latest(lake)
    identity = browser_id(release)
    if BROWSERS.find(lake, BROWSERS.folder(identity)):
        return run.point_to(identity)
    with run.temporary_folder() as staged:
        written = write_browser(lake, release, staged)
        manifest = {
            "release": release.id,
            "release_folder": release.folder,
            "dialogues": written.dialogues,
            "counts": written.counts,
            "pages": written.pages,
        }
        return run.publish(staged, identity, manifest)
