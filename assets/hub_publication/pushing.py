"""Pushing the latest release to a dataset repository, and an adapter to a model repository.

A repository holds the files that one manifest lists, the card, and manifest.json, by which the next push recognises it.
One commit replaces everything, and the tag with the release's id comes last. So whatever ends a push, the repository
holds one whole release, and the next push goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from assets.boost_qa.gates import GATES
from assets.boost_qa.release import RELEASES, Release, create_release_views
from assets.checkpoints.checkpoint import ADAPTER, CHECKPOINTS, MODEL
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.framework.check_files import OpenConnection
from assets.framework.publication import Manifest, wrong_files
from assets.hub_publication.cards import adapter_card, check_card, dataset_card
from assets.hub_publication.configuration import HubConfiguration
from assets.seeds.schema import SEEDS
from resources.configuration import fault_list
from resources.hub import HUB_FILES, Content, Hub, HubError, HubFile, HubRepository, Kind, in_memory, is_same
from resources.lake.published_folders import MANIFEST
from resources.lake.tables import Lake

README = "README.md"
TITLES: Mapping[Kind, str] = {"dataset": "Release ", "model": "Checkpoint "}  # of commits, with the id
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Push:
    """A folder of the lake as a repository is to hold it."""

    kind: Kind
    home: str  # `kind` of its manifest, by which a repository is recognised as ours
    id: str
    files: tuple[HubFile, ...]  # with the card and manifest.json
    path_of: Callable[[str], str | None]  # the path in the repository of a file of the folder; None: it is left out

    @property
    def title(self) -> str:
        """Of the commit."""
        return f"{TITLES[self.kind]}{self.id}"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did."""

    url: str
    id: str
    commit: str
    added: int  # files added or replaced
    deleted: int
    history_deleted: bool


def push_release(lake: Lake, hub: HubConfiguration, retracted: frozenset[str]) -> Pushed:
    """Push the latest release, unless the repository holds it already.

    Args:
        lake: with the release.
        hub: with the name of the repository.
        retracted: ids of the seeds that are in no release.

    Raises:
        NotPublished: there is no release yet.
        HubError: the release or the repository is not fit, or the hub refuses. Nothing was changed.
        HubUnreachable: the push broke off; the next one goes on.
        StoreError: the lake cannot be read.
    """
    if hub.repository is None:
        raise HubError("no repository is named; set MASTER_HUB_REPOSITORY=namespace/name")
    release = RELEASES.latest(lake)
    _refuse_unfit(lake, release, retracted)
    push = release_push(lake, release, hub.repository)
    repository = HubRepository(Hub(), hub.repository, "dataset")
    content = _open(repository, push, hub.private)
    withdrawn = hub.delete_withdrawn and _had_retracted(lake, content, release, retracted)
    return _push(repository, push, content, withdrawn)


def push_adapter(lake: Lake, hub: HubConfiguration, base: str, variant: str) -> Pushed:
    """Push the latest adapter of a base model and a variant, unless the repository holds it already.

    Raises:
        NotPublished: there is no such checkpoint yet.
        HubError, HubUnreachable, StoreError: as `push_release`.
    """
    if hub.model_prefix is None:
        raise HubError("no repository is named; set MASTER_HUB_MODEL_PREFIX=namespace/name")
    checkpoint = CHECKPOINTS.latest(lake, base, variant)
    _refuse_damaged(lake, checkpoint.folder, checkpoint.manifest)
    name = hub.model_repository(base, variant)
    card = partial(adapter_card, manifest=checkpoint.manifest, repository=name, dataset=hub.repository)
    push = _folder_push(lake, "model", checkpoint.folder, checkpoint.manifest, _adapter_path, card)
    repository = HubRepository(Hub(), name, "model")
    return _push(repository, push, _open(repository, push, hub.private), delete_history=False)


def release_push(lake: Lake, release: Release, repository: str) -> Push:
    """A release as its repository is to hold it: the files that its manifest lists, with a card for the hub."""
    card = partial(dataset_card, repository=repository, release=release.id)
    return _folder_push(lake, "dataset", release.folder, release.manifest, str, card)


def _folder_push(
    lake: Lake,
    kind: Kind,
    folder: str,
    manifest: Manifest,
    path_of: Callable[[str], str | None],
    card: Callable[[str], str],
) -> Push:
    files = []
    for file in manifest["files"]:
        path = path_of(file["path"])
        if path == README:
            text = card(lake.store.get(f"{folder}/{README}").decode())
            files.append(in_memory(README, text.encode()))
        elif path is not None:
            files.append(HubFile(path, file["sha256"], partial(lake.store.open, f"{folder}/{file['path']}")))
    files.append(in_memory(MANIFEST, lake.store.get(f"{folder}/{MANIFEST}")))
    check_card(text, kind, [file.path for file in files])
    return Push(kind, manifest["kind"], manifest["id"], tuple(files), path_of)


def _adapter_path(path: str) -> str | None:
    """PEFT and transformers look for an adapter, a model and its tokenizer in the folder of the repository itself."""
    folder, _, name = path.partition("/")
    if folder not in (ADAPTER, MODEL, "tokenizer"):
        return path
    return None if name == README else name


def _refuse_unfit(lake: Lake, release: Release, retracted: frozenset[str]) -> None:
    """Raise HubError where the release is damaged, fails a gate, or has rows of seeds that were retracted since."""
    _refuse_damaged(lake, release.folder, release.manifest)
    with lake.connect([SEEDS, DIALOGUE_PLANS]) as connection:
        create_release_views(connection, lake, release, "released")
        published = OpenConnection(connection, {})
        failed = [gate.name for gate in GATES if next(iter(gate.find(published)), None)]
    if failed:
        raise HubError(
            f"release {release.id} fails its gates {', '.join(failed)}, so it is not pushed; materialise boost_qa again"
        )
    if found := _seeds_of(lake, release) & retracted:
        raise HubError(
            f"release {release.id} has rows of {len(found)} retracted seeds, so it is not pushed; materialise boost_qa "
            "first, which makes a release without them"
        )


def _refuse_damaged(lake: Lake, folder: str, manifest: Manifest) -> None:
    if wrong := wrong_files(lake, folder, manifest["files"]):
        faults = [f"{fault['file']} {fault['fault']}" for fault in wrong[:SHOWN]]
        raise HubError(fault_list(f"{lake.store.uri(folder)} is damaged, so it is not pushed; restore:", faults))


def _seeds_of(lake: Lake, release: Release) -> frozenset[str]:
    """The seeds of a release's rows, similar questions among them."""
    with lake.connect([]) as connection:
        create_release_views(connection, lake, release, "released")
        found = connection.execute("SELECT DISTINCT unnest([seed_id, partner_seed_id]) FROM released").fetchall()
    return frozenset(seed for (seed,) in found if seed)


def _open(repository: HubRepository, push: Push, private: bool) -> Content:
    """What the repository holds, which is created where there is none.

    Raises:
        HubError: the token is not fit, or the repository holds something that was not pushed from a lake.
    """
    user = repository.hub.check_token()
    content = repository.read()
    if content is None:
        repository.create(private)
        content = repository.read()
    if content is None:
        raise HubError(
            f"{repository.name}: the user {user} of the token cannot see the repository; correct the name, or use "
            "another token"
        )
    kind = content.manifest.get("kind") if content.manifest is not None else None
    foreign = sorted(content.files.keys() - HUB_FILES)
    if kind != push.home and (foreign or len(content.titles) > 1):
        found = f"it has {', '.join(foreign[:SHOWN])}" if foreign else f"it has {len(content.titles)} commits"
        raise HubError(
            f"{repository.url} was not made by this asset ({found}, and no manifest.json of kind {push.home!r}), so "
            "nothing was pushed; name a new or an empty repository"
        )
    return content


def _had_retracted(lake: Lake, content: Content, release: Release, retracted: frozenset[str]) -> bool:
    """Whether an earlier release of the repository has rows of retracted seeds.

    The earlier ones are those in the titles of its commits and in its tags. One that the lake has no more may have any.
    """
    if not retracted:
        return False
    title = TITLES["dataset"]
    earlier = {one.removeprefix(title) for one in content.titles if one.startswith(title)}
    for identity in sorted((earlier | content.tags.keys()) - {release.id}):
        found = RELEASES.find(lake, RELEASES.folder(identity))
        if found is None or _seeds_of(lake, found) & retracted:
            return True
    return False


def _push(repository: HubRepository, push: Push, content: Content, delete_history: bool) -> Pushed:
    """Commit what differs, delete what the manifest of the repository lists and this one does not, then tag."""
    added = [file for file in push.files if not is_same(file, content.files.get(file.path))]
    listed = {push.path_of(file["path"]) for file in _listed(content.manifest)}
    deleted = {path for path in listed & content.files.keys() if path} - {file.path for file in push.files}
    commit = content.commit
    if added or deleted:
        commit = repository.commit(push.title, content.commit, added, deleted)
    if delete_history:
        commit = repository.delete_history(push.title, content.tags.keys())
    if delete_history or push.id not in content.tags:
        repository.tag(push.id, commit)
    return Pushed(repository.url, push.id, commit, len(added), len(deleted), delete_history)


def _listed(manifest: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The files that the manifest of a repository lists."""
    return list((manifest or {}).get("files", []))


def differences(lake: Lake, hub: HubConfiguration) -> list[dict[str, str]]:
    """The files of the latest release that its tag on the hub does not have, or has with other content."""
    if hub.repository is None:
        return []
    release = RELEASES.latest(lake)
    content = HubRepository(Hub(), hub.repository, "dataset").read(release.id)
    if content is None:
        return [{"file": release.id, "fault": "is no tag of the repository; materialise published_release"}]
    files = release_push(lake, release, hub.repository).files
    return [
        {"file": file.path, "fault": "is not at the tag with this content"}
        for file in files
        if not is_same(file, content.files.get(file.path))
    ]
