"""Repositories on the Hugging Face hub: read what one holds, replace it with one commit, delete its history.

Every call goes through `huggingface_hub` with the token in HF_TOKEN, to the address in HF_ENDPOINT. Large files are
sent as Git LFS objects: the client does so where it is given open files, also where `hf_xet` is installed. So a file on
S3 is sent without a copy on disk, only the hub and the storage that it names are contacted, and an object that the hub
has is not sent again. `huggingface_hub` is imported when it is used, because it takes 0.3 s.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from resources.chat.redaction import Redactor
from resources.lake.published_folders import MANIFEST
from resources.lake.store import StoreError
from resources.outside_text import without_links
from resources.scratch import scratch_folder

if TYPE_CHECKING:
    from huggingface_hub import HfApi, RepoFile

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of an environment variable
ENDPOINT = "HF_ENDPOINT"
BRANCH = "main"
HUB_FILES = {".gitattributes"}  # which the hub itself writes into a new repository
CHUNK = 8 * 2**20  # bytes of one read
LONGEST_REASON = 300  # characters of an error of the hub in our message

Kind = Literal["dataset", "model"]


class HubError(RuntimeError):
    """The hub refuses something, or a repository cannot be used. The message says what to do, without the token."""


class HubUnreachable(HubError):
    """The hub cannot be reached, or the connection ended. What was uploaded is not sent again."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file to push."""

    path: str  # in the repository
    sha256: str  # of its content
    open: Callable[[], BinaryIO]

    def buffered(self) -> BinaryIO:
        """The open file, in the only form that the client sends as a Git LFS object: see the module's docstring."""
        file = self.open()
        return file if isinstance(file, io.BufferedIOBase) else cast(BinaryIO, io.BufferedReader(file, CHUNK))


def in_memory(path: str, content: bytes) -> HubFile:
    """A small file whose content is in memory."""
    return HubFile(path, hashlib.sha256(content).hexdigest(), lambda: io.BytesIO(content))


@dataclass(frozen=True, slots=True)
class Content:
    """What a repository has at one commit."""

    commit: str
    files: Mapping[str, "RepoFile"]  # by path
    manifest: Mapping[str, Any] | None  # of the release or checkpoint that was pushed last; None in a new repository
    titles: tuple[str, ...]  # of its commits, the newest first
    tags: Mapping[str, str]  # the commit of each


def hub_address() -> str:
    """The hub's address without a trailing slash: HF_ENDPOINT, by default https://huggingface.co."""
    return (os.environ.get(ENDPOINT) or "https://huggingface.co").rstrip("/")


class Hub:
    """The hub, with the token of this process.

    Raises:
        HubError: HF_TOKEN is not set.
    """

    def __init__(self) -> None:
        token = os.environ.get(TOKEN, "").strip()
        if not token:
            raise HubError(
                f"{TOKEN} is not set; write a token with write access into .env, or set it in the shell "
                f"({hub_address()}/settings/tokens makes one)"
            )
        self._token, self._redactor = token, Redactor(token)

    @cached_property
    def api(self) -> "HfApi":
        """The client."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=hub_address(), token=self._token, library_name="master-dagster")

    def check_token(self) -> str:
        """The name of the token's user.

        Raises:
            HubError: the hub does not accept the token, or the token can only read.
            HubUnreachable: there is no answer.
        """
        with self.errors("the user of the token"):
            answer = self.api.whoami()
        role = answer.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise HubError(
                f"the token in {TOKEN} can only read; make one with write access at {hub_address()}/settings/tokens"
            )
        return str(answer.get("name"))

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn every error of the client into one of ours. `what` names the repository or the question."""
        from httpx2 import HTTPError
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        try:
            yield
        except OfflineModeIsEnabled:
            raise HubError(f"{what}: HF_HUB_OFFLINE is set, so the hub is not asked; unset it to push") from None
        except (HTTPError, RuntimeError, ValueError) as error:
            of_upload = type(error) is RuntimeError and isinstance(error.__cause__, HTTPError | StoreError)
            cause = error.__cause__ if of_upload else error
            if isinstance(cause, StoreError):
                raise cause from None
            reason = " ".join(without_links(self._redactor.text(str(cause))).split())[:LONGEST_REASON]
            if isinstance(cause, HfHubHTTPError) and cause.response.status_code < 500:
                raise HubError(f"{what}: {_refusal(cause.response.status_code)} (the hub: {reason})") from None
            if isinstance(cause, HTTPError):
                raise HubUnreachable(
                    f"{what}: the connection to {hub_address()} failed ({reason}); run it again: what was uploaded is "
                    "not sent again"
                ) from None
            if isinstance(cause, ValueError):
                raise HubError(f"{what}: {reason}") from None
            raise


@dataclass(frozen=True)
class HubRepository:
    """One repository, which holds one release, or one checkpoint, with a tag per release."""

    hub: Hub
    name: str  # `namespace/name`
    kind: Kind

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"{hub_address()}/{'datasets/' if self.kind == 'dataset' else ''}{self.name}"

    @property
    def _named(self) -> dict[str, Any]:
        return {"repo_id": self.name, "repo_type": self.kind}

    def read(self, revision: str = BRANCH) -> Content | None:
        """What it holds; None where there is no such repository, or where the token may not see it."""
        from huggingface_hub import RepoFile
        from huggingface_hub.errors import RepositoryNotFoundError

        api = self.hub.api
        with self.hub.errors(self.name):
            try:
                refs = api.list_repo_refs(**self._named)
            except RepositoryNotFoundError:
                return None
            heads = {branch.name: branch.target_commit for branch in refs.branches}
            tags = {tag.name: tag.target_commit for tag in refs.tags}
            commit = (tags | heads).get(revision)
            if commit is None:
                return None
            listed = api.list_repo_tree(**self._named, recursive=True, revision=commit)
            files = {entry.path: entry for entry in listed if isinstance(entry, RepoFile)}
            titles = tuple(one.title for one in api.list_repo_commits(**self._named, revision=commit))
            manifest = self._manifest(commit) if MANIFEST in files else None
        return Content(commit, files, manifest, titles, tags)

    def _manifest(self, commit: str) -> Mapping[str, Any]:
        """Its manifest.json; empty where that is no JSON object."""
        with scratch_folder("hub") as folder:
            path = self.hub.api.hf_hub_download(
                self.name, MANIFEST, repo_type=self.kind, revision=commit, local_dir=folder
            )
            try:
                found = json.loads(Path(path).read_bytes())
            except ValueError:
                return {}
        return found if isinstance(found, dict) else {}

    def create(self, private: bool) -> None:
        """Create it, unless it exists."""
        with self.hub.errors(self.name):
            self.hub.api.create_repo(self.name, repo_type=self.kind, private=private, exist_ok=True)

    def commit(self, title: str, head: str, files: Sequence[HubFile], deleted: Collection[str]) -> str:
        """Add and delete files in one commit, for which the hub validates the card first.

        Args:
            title: of the commit.
            head: the commit that it follows; the hub refuses where another one came in between.
            files: to add or replace. Large ones are uploaded first; those that the hub has are not sent again.
            deleted: paths to delete.

        Returns:
            The id of the commit.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        with self.hub.errors(self.name), ExitStack() as opened:
            added = [CommitOperationAdd(file.path, opened.enter_context(file.buffered())) for file in files]
            done = self.hub.api.create_commit(
                **self._named,
                operations=[*added, *(CommitOperationDelete(path) for path in sorted(deleted))],
                commit_message=title,
                parent_commit=head,
            )
            return str(done.oid)

    def tag(self, name: str, commit: str) -> None:
        """Give a commit a tag, unless there is one of this name."""
        with self.hub.errors(self.name):
            self.hub.api.create_tag(**self._named, tag=name, revision=commit, exist_ok=True)

    def delete_history(self, title: str, tags: Collection[str]) -> str:
        """Leave only the newest state of the main branch: no earlier commit, no large file of one, none of these tags.

        The tags go last, so that a call that was interrupted is repeated. It cannot be undone.

        Returns:
            The id of the only commit.
        """
        api = self.hub.api
        with self.hub.errors(self.name):
            api.super_squash_history(**self._named, branch=BRANCH, commit_message=title)
        now = self.read()
        if now is None:
            raise HubError(f"{self.name}: the repository is gone; run it again")
        kept = {file.lfs.sha256 for file in now.files.values() if file.lfs}
        with self.hub.errors(self.name):
            stale = [file for file in api.list_lfs_files(**self._named) if file.file_oid not in kept]
            api.permanently_delete_lfs_files(**self._named, lfs_files=stale, rewrite_history=False)
            for tag in tags:
                api.delete_tag(**self._named, tag=tag)
        return now.commit


def is_same(file: HubFile, remote: "RepoFile | None") -> bool:
    """Whether a repository has this file with this content. Reads the file where the hub keeps it as a plain blob."""
    from huggingface_hub.utils.sha import git_hash

    if remote is None:
        return False
    if remote.lfs:
        return bool(remote.lfs.sha256 == file.sha256)
    with file.open() as opened:
        return bool(remote.blob_id == git_hash(opened.read()))


def _refusal(status: int) -> str:
    """What a status of the hub means, and what to do."""
    tokens = f"{hub_address()}/settings/tokens"
    return {
        401: f"the hub does not accept the token in {TOKEN}; make one with write access at {tokens}",
        403: f"the token in {TOKEN} may not write there; give it write access to this namespace at {tokens}",
        404: f"there is no such namespace or repository, or the token in {TOKEN} may not see it; correct the name",
        409: "somebody else changed the repository meanwhile; run it again",
        412: "somebody else changed the repository meanwhile; run it again",
        429: "the hub asks to wait; run it again later",
    }.get(status, "the hub refuses the request")
