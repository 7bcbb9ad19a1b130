"""A stand-in for the Hugging Face hub on loopback, to which the real `huggingface_hub` client talks.

It keeps repositories in memory: commits, tags and Git LFS objects. What it answers follows the client's source.
"""

import base64
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

LARGE = ("*.parquet", "*.safetensors")  # what the hub keeps as Git LFS objects by default
REPOSITORY = r"(?P<kind>dataset|model)s/(?P<name>[^/]+/[^/]+)"
PAGE = r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+?)"
USER, ORGANISATION = "ann", "team"
EMPTY_ATTRIBUTES = b"*.parquet filter=lfs\n"


def blob_id(content: bytes) -> str:
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Commit:
    id: str
    title: str
    files: dict[str, tuple[bool, str]]  # path: whether it is an LFS object, sha256 of the content


@dataclass
class Repository:
    private: bool
    commits: list[Commit] = field(default_factory=list)  # of the main branch, the newest last
    dangling: dict[str, Commit] = field(default_factory=dict)  # of tags, after the branch was squashed
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, title: str, files: dict[str, tuple[bool, str]]) -> Commit:
        number = len(self.commits) + len(self.dangling)
        made = Commit(sha1(f"{number}{title}{sorted(files)}".encode(), usedforsecurity=False).hexdigest(), title, files)
        self.commits.append(made)
        return made

    def at(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.commits[-1]
        identity = self.tags.get(revision, revision)
        return next((one for one in self.commits if one.id == identity), self.dangling.get(identity))


class HubServer:
    """A running stand-in. Tests read `repositories` and `uploads`, and set `cut_uploads` and `lost_tags`."""

    def __init__(self) -> None:
        self.tokens = {"hf_writes_here": "write", "hf_only_reads": "read"}
        self.namespaces = {USER, ORGANISATION}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}  # contents by sha256
        self.uploads: list[str] = []  # sha256 of each LFS object that arrived as a whole
        self.cut_uploads = 0  # how many of the next uploads are cut half way; the first one is let through
        self.lost_tags = 0  # how many of the next requests for a tag are not answered
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def store(self, content: bytes) -> str:
        digest = sha256(content).hexdigest()
        self.objects[digest] = content
        return digest

    def create(self, kind: str, name: str, private: bool = True) -> Repository:
        made = self.repositories[kind, name] = Repository(private)
        made.commit("initial commit", {".gitattributes": (False, self.store(EMPTY_ATTRIBUTES))})
        return made

    def read(self, kind: str, name: str, revision: str = "main") -> dict[str, bytes]:
        """The files of a commit."""
        commit = self.repositories[kind, name].at(revision)
        assert commit
        return {path: self.objects[digest] for path, (_, digest) in commit.files.items()}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def handle_any(self) -> None:
                Request(hub, self).answer()

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

        return Handler


class Refused(Exception):
    """Answer with an error."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


NOT_FOUND = Refused(404, "Repository not found", "RepoNotFound")


class Request:
    """One request."""

    def __init__(self, hub: HubServer, http: BaseHTTPRequestHandler) -> None:
        self.hub, self.http = hub, http
        self.path = unquote(urlsplit(http.path).path)
        self.role = hub.tokens.get(http.headers.get("Authorization", "").removeprefix("Bearer "))
        self.length = int(http.headers.get("Content-Length") or 0)

    def answer(self) -> None:
        try:
            for method, pattern, respond in ROUTES:
                if (found := re.fullmatch(pattern, self.path)) and self.http.command in method.split():
                    respond(self, **found.groupdict())
                    return
            raise Refused(404, f"the stand-in has no {self.http.command} {self.path}")
        except Refused as refused:
            self.send({"error": str(refused)}, refused.status, {"X-Error-Code": refused.code})

    def body(self) -> bytes:
        return self.http.rfile.read(self.length)

    def json(self) -> Any:
        return json.loads(self.body())

    def send(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.http.send_response(status)
        if status >= 400:
            self.http.send_header("X-Error-Message", content["error"])
            self.http.send_header("Connection", "close")  # the body of the request may not have been read
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            if value:
                self.http.send_header(name, value)
        self.http.end_headers()
        if self.http.command != "HEAD":
            self.http.wfile.write(data)

    def signed_in(self) -> None:
        if self.role is None:
            raise Refused(401, "Invalid credentials in Authorization header")

    def repository(self, kind: str, name: str, write: bool = False) -> Repository:
        self.signed_in()
        found = self.hub.repositories.get((kind, name))
        if found is None:
            raise NOT_FOUND
        if write and (self.role != "write" or name.partition("/")[0] not in self.hub.namespaces):
            raise Refused(403, "you have no write access to this repository")
        return found

    def commit_of(self, kind: str, name: str, revision: str) -> Commit:
        if found := self.repository(kind, name).at(revision):
            return found
        raise Refused(404, "Revision not found", "RevisionNotFound")

    def whoami(self) -> None:
        self.signed_in()
        access = {"accessToken": {"role": self.role}}
        self.send({"name": USER, "orgs": [{"name": ORGANISATION}], "auth": access})

    def create(self) -> None:
        self.signed_in()
        wanted = self.json()
        namespace = wanted["organization"] or USER
        if self.role != "write" or namespace not in self.hub.namespaces:
            raise Refused(403, f"you may not create a repository in {namespace}")
        kind, name = wanted.get("type", "model"), f"{namespace}/{wanted['name']}"
        if (kind, name) in self.hub.repositories:
            raise Refused(409, "You already created this repo")
        self.hub.create(kind, name, wanted.get("visibility") == "private")
        self.send({"url": f"{self.hub.address}/{kind}s/{name}"})

    def validate_card(self) -> None:
        header = re.match(r"---\n(.*?)\n---\n", self.json()["content"], re.DOTALL)
        if header is None or not isinstance(yaml.safe_load(header[1]), dict):
            self.send({"errors": [{"message": "no header"}], "warnings": [], "error": "no header"}, 400)
        else:
            self.send({"errors": [], "warnings": []})

    def refs(self, kind: str, name: str) -> None:
        found = self.repository(kind, name)
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": at} for tag, at in found.tags.items()]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": found.commits[-1].id}
        self.send({"branches": [main], "converts": [], "tags": tags})

    def info(self, kind: str, name: str, revision: str = "main") -> None:
        commit = self.commit_of(kind, name, revision)
        siblings = [{"rfilename": path} for path in commit.files]
        private = self.repository(kind, name).private
        self.send({"id": name, "sha": commit.id, "private": private, "siblings": siblings, "tags": []})

    def entry(self, commit: Commit, path: str) -> dict[str, Any]:
        large, digest = commit.files[path]
        content = self.hub.objects.get(digest, b"")
        lfs = {"lfs": {"oid": digest, "size": len(content), "pointerSize": 130}} if large else {}
        return {"type": "file", "path": path, "size": len(content), "oid": blob_id(content), **lfs}

    def tree(self, kind: str, name: str, revision: str, folder: str | None) -> None:
        commit = self.commit_of(kind, name, revision)
        start, recursive = f"{folder}/" if folder else "", "recursive=true" in self.http.path.lower()
        below = [path for path in commit.files if path.startswith(start)]
        folders = {start + path.removeprefix(start).partition("/")[0] for path in below} - set(below)
        if not below:
            raise Refused(404, "Entry not found", "EntryNotFound")
        files = [path for path in below if recursive or "/" not in path.removeprefix(start)]
        listed = [{"type": "directory", "path": one, "oid": blob_id(one.encode())} for one in sorted(folders)]
        self.send(listed + [self.entry(commit, path) for path in files])

    def paths_info(self, kind: str, name: str, revision: str) -> None:
        commit = self.commit_of(kind, name, revision)
        wanted = self.json()["paths"]
        folders = [path for path in wanted if any(one.startswith(f"{path}/") for one in commit.files)]
        listed = [{"type": "directory", "path": path, "oid": blob_id(path.encode())} for path in folders]
        self.send(listed + [self.entry(commit, path) for path in wanted if path in commit.files])

    def commits(self, kind: str, name: str, revision: str) -> None:
        self.commit_of(kind, name, revision)
        empty = {"authors": [], "date": "2026-01-01T00:00:00.000Z", "message": ""}
        found = self.repository(kind, name).commits
        self.send([{"id": one.id, "title": one.title, **empty} for one in reversed(found)])

    def preupload(self, kind: str, name: str, revision: str) -> None:
        self.repository(kind, name, write=True)
        self.send({"files": [self._mode(file["path"]) for file in self.json()["files"]]})

    def _mode(self, path: str) -> dict[str, Any]:
        large = any(fnmatchcase(path, pattern) for pattern in LARGE)
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

    def batch(self, kind: str | None, name: str) -> None:
        self.repository("dataset" if kind else "model", name, write=True)
        self.send({"transfer": "basic", "objects": [self._action(one) for one in self.json()["objects"]]})

    def _action(self, wanted: dict[str, Any]) -> dict[str, Any]:
        upload = {"actions": {"upload": {"href": f"{self.hub.address}/lfs/{wanted['oid']}"}}}
        return {**wanted, **({} if wanted["oid"] in self.hub.objects else upload)}

    def upload(self, oid: str) -> None:
        if self.hub.cut_uploads and self.hub.uploads:
            self.hub.cut_uploads -= 1
            self.http.rfile.read(self.length // 2)
            self.http.close_connection = True
            self.http.connection.close()
            return
        assert self.hub.store(self.body()) == oid
        self.hub.uploads.append(oid)
        self.send(b"")

    def commit(self, kind: str, name: str, revision: str) -> None:
        repository = self.repository(kind, name, write=True)
        files, title = dict(repository.commits[-1].files), ""
        for line in map(json.loads, self.body().splitlines()):
            match line["key"], line["value"]:
                case "header", value:
                    title = value["summary"]
                    if value.get("parentCommit", repository.commits[-1].id) != repository.commits[-1].id:
                        raise Refused(412, "the branch has moved")
                case "file", value:
                    files[value["path"]] = (False, self.hub.store(base64.b64decode(value["content"])))
                case "lfsFile", value:
                    assert value["oid"] in self.hub.objects
                    files[value["path"]] = (True, value["oid"])
                case "deletedFile", value:
                    del files[value["path"]]
        made = repository.commit(title, files)
        self.send({"commitUrl": f"{self.hub.address}/{name}/commit/{made.id}", "commitOid": made.id})

    def add_tag(self, kind: str, name: str, revision: str) -> None:
        repository, tag = self.repository(kind, name, write=True), self.json()["tag"]
        if self.hub.lost_tags:
            self.hub.lost_tags -= 1
            self.http.close_connection = True
            self.http.connection.close()
            return
        if tag in repository.tags:
            raise Refused(409, "Tag exists")
        repository.tags[tag] = self.commit_of(kind, name, revision).id
        self.send({})

    def delete_tag(self, kind: str, name: str, revision: str) -> None:
        del self.repository(kind, name, write=True).tags[revision]
        self.send({})

    def squash(self, kind: str, name: str, revision: str) -> None:
        repository, title = self.repository(kind, name, write=True), self.json()["message"]
        newest = repository.commits[-1]
        repository.dangling |= {one.id: one for one in repository.commits}
        repository.commits = []
        repository.commit(title, newest.files)
        self.send({})

    def lfs_files(self, kind: str, name: str) -> None:
        repository = self.repository(kind, name)
        every = [*repository.dangling.values(), *repository.commits]
        found = {digest: path for one in every for path, (large, digest) in one.files.items() if large}
        there = [(oid, path) for oid, path in found.items() if oid in self.hub.objects]
        entry = {"pushedAt": "2026-01-01T00:00:00.000Z", "ref": "refs/heads/main", "size": 1}
        self.send([{"fileOid": oid, "oid": oid, "filename": path, **entry} for oid, path in there])

    def delete_lfs_files(self, kind: str, name: str) -> None:
        self.repository(kind, name, write=True)
        for oid in self.json()["deletions"]["sha"]:
            del self.hub.objects[oid]
        self.send({})

    def resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        commit = self.commit_of("dataset" if kind else "model", name, revision)
        if path not in commit.files:
            raise Refused(404, "Entry not found", "EntryNotFound")
        content = self.hub.objects[commit.files[path][1]]
        headers = {"ETag": f'"{blob_id(content)}"', "X-Repo-Commit": commit.id, "Accept-Ranges": "bytes"}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.http.headers.get("Range", "")):
            start, end = int(found[1]), int(found[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            self.send(content[start : end + 1], 206, headers)
        else:
            self.send(content, 200, headers)


ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", "/api/whoami-v2", Request.whoami),
    ("POST", "/api/repos/create", Request.create),
    ("POST", "/api/validate-yaml", Request.validate_card),
    ("GET", f"/api/{REPOSITORY}", Request.info),
    ("GET", f"/api/{REPOSITORY}/revision/(?P<revision>.+)", Request.info),
    ("GET", f"/api/{REPOSITORY}/refs", Request.refs),
    ("GET", f"/api/{REPOSITORY}/tree/(?P<revision>[^/]+)(/(?P<folder>.+))?", Request.tree),
    ("POST", f"/api/{REPOSITORY}/paths-info/(?P<revision>.+)", Request.paths_info),
    ("GET", f"/api/{REPOSITORY}/commits/(?P<revision>.+)", Request.commits),
    ("POST", f"/api/{REPOSITORY}/preupload/(?P<revision>.+)", Request.preupload),
    ("POST", f"/api/{REPOSITORY}/commit/(?P<revision>.+)", Request.commit),
    ("POST", f"/api/{REPOSITORY}/tag/(?P<revision>.+)", Request.add_tag),
    ("DELETE", f"/api/{REPOSITORY}/tag/(?P<revision>.+)", Request.delete_tag),
    ("POST", f"/api/{REPOSITORY}/super-squash/(?P<revision>.+)", Request.squash),
    ("GET", f"/api/{REPOSITORY}/lfs-files", Request.lfs_files),
    ("POST", f"/api/{REPOSITORY}/lfs-files/batch", Request.delete_lfs_files),
    ("POST", rf"{PAGE}\.git/info/lfs/objects/batch", Request.batch),
    ("PUT", "/lfs/(?P<oid>.+)", Request.upload),
    ("GET HEAD", rf"{PAGE}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Request.resolve),
]
