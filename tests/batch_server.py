"""A server with OpenAI's API for files and batches on loopback. It answers requests by the rule of a fake endpoint."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fake_endpoint import FakeEndpoint

STAGES = ("validating", "in_progress", "finalizing", "completed")
Fate = Callable[[str, int], Any]  # by custom_id and place in the file; None: it is answered
Cut = tuple[str, str]  # method and path of a request whose answer is lost


@dataclass
class StoredBatch:
    """A batch of the server. `plan` holds the statuses that are still to come, one for each look."""

    fields: dict[str, Any]
    plan: list[str]
    fate: Fate | None = None


@dataclass
class BatchServer:
    """Files and batches beside a fake endpoint, which answers what is asked live under the same address.

    Attributes:
        plan: the statuses that each new batch goes through, one for each look at it.
        fate: gives for a request of a batch the line of the error file; None lets it be answered.
        unreadable: what the file of answers begins with.
        lose: methods and paths of requests that are carried out, but whose connection is cut instead of an answer.
        refuse: an HTTP status and message per method and path.
        before, after: called with method and path before a request is carried out, and before its answer is sent.
        seen, headers: of every request so far.
        live: the bodies of the requests that were asked live.
        answered: how often each request was answered in a batch, by its custom_id.
        files: every file that was uploaded or written, by its id; `deleted` are the ids of those that were deleted.
    """

    endpoint: FakeEndpoint
    plan: tuple[str, ...] = STAGES
    fate: Fate | None = None
    errors: tuple[dict[str, str], ...] = ()
    unreadable: bytes = b""
    lose: list[Cut] = field(default_factory=list)
    refuse: dict[Cut, tuple[int, str]] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    live: list[dict[str, Any]] = field(default_factory=list)
    before: Callable[[Cut], None] = lambda what: None
    after: Callable[[Cut], None] = lambda what: None
    answered: Counter[str] = field(default_factory=Counter)
    files: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    batches: dict[str, StoredBatch] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.handle(self)

            do_POST = do_DELETE = do_GET

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that is killed leaves no traceback."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def base_url(self) -> str:
        """The address, up to and including `/v1`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def start(self) -> None:
        """Serve on a free port of loopback, on threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def requests(self) -> Counter[str]:
        """How often each request was submitted in a batch that was created, by its custom_id."""
        return Counter(
            json.loads(line)["custom_id"]
            for batch in self.batches.values()
            for line in self.files[batch.fields["input_file_id"]].splitlines()
        )

    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the requests of all batches, in order."""
        return [
            json.loads(line)["body"]
            for batch in self.batches.values()
            for line in self.files[batch.fields["input_file_id"]].splitlines()
        ]

    def cancel(self) -> None:
        """Cancel every batch that has not ended, as a person does in the provider's pages."""
        with self._lock:
            for batch in self.batches.values():
                if batch.plan:
                    self._end(batch, "cancelled")

    # ---- the server

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        address = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        what = (request.command, address.path.removeprefix("/v1"))
        with self._lock:
            self.seen.append(what)
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self.before(what)
            if what in self.refuse:
                status, message = self.refuse[what]
                content = json.dumps({"error": {"message": message, "type": "error", "code": None}}).encode()
            else:
                status, content = self._answer(what, request.headers, parse_qs(address.query), body)
            if what in self.lose:
                self.lose.remove(what)
                request.close_connection = True
                request.connection.close()
                return
            self.after(what)
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _answer(self, what: Cut, headers: Any, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        path = what[1]
        parts = path.strip("/").split("/")
        if what == ("POST", "/files"):
            return self._upload(headers, body)
        if what == ("POST", "/batches"):
            return self._create(json.loads(body))
        if what == ("GET", "/batches"):
            return self._list(query)
        if parts[0] == "batches" and len(parts) == 2 and parts[1] in self.batches:
            return 200, json.dumps(self._look(self.batches[parts[1]])).encode()
        if what == ("GET", "/files"):
            return 200, json.dumps({"object": "list", "data": self._listed_files(), "has_more": False}).encode()
        if parts[0] == "files" and parts[1] in self.files and parts[1] not in self.deleted:
            if what[0] == "DELETE":
                self.deleted.append(parts[1])
                return 200, json.dumps({"id": parts[1], "object": "file", "deleted": True}).encode()
            return 200, self.files[parts[1]]
        if what == ("POST", "/chat/completions"):
            self.live.append(json.loads(body))
            answer = self.endpoint.answer_to(self.live[-1])
            return answer.status, answer.body
        return 404, json.dumps({"error": {"message": f"nothing at {path}", "type": "not_found"}}).encode()

    def _upload(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
        form = {
            part.get_param("name", header="content-disposition"): part
            for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
        }
        assert form["purpose"].get_content().strip() == "batch"
        id_, content = f"file-{len(self.files)}", bytes(form["file"].get_payload(decode=True))
        self.files[id_], self.names[id_] = content, str(form["file"].get_filename())
        return 200, json.dumps(self._described(id_)).encode()

    def _described(self, id_: str) -> dict[str, Any]:
        size, name = len(self.files[id_]), self.names[id_]
        return {"id": id_, "object": "file", "bytes": size, "created_at": 2**33, "filename": name, "purpose": "batch"}

    def _listed_files(self) -> list[dict[str, Any]]:
        """The uploaded files that were not deleted, the newest first."""
        return [self._described(id_) for id_ in reversed(self.names) if id_ not in self.deleted]

    def _create(self, given: dict[str, Any]) -> tuple[int, bytes]:
        assert given["endpoint"] == "/v1/chat/completions"
        fields = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "created_at": 2**33,
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
            **given,
        }
        self.batches[fields["id"]] = StoredBatch(fields, list(self.plan), self.fate)
        return 200, json.dumps(fields).encode()

    def _list(self, query: dict[str, list[str]]) -> tuple[int, bytes]:
        newest = list(reversed(self.batches.values()))
        after = query.get("after", [""])[0]
        ids = [batch.fields["id"] for batch in newest]
        begin = ids.index(after) + 1 if after else 0
        page = newest[begin : begin + 2]
        content = {
            "object": "list",
            "data": [self._look(batch) for batch in page],
            "has_more": begin + 2 < len(newest),
            "first_id": page[0].fields["id"] if page else None,
            "last_id": page[-1].fields["id"] if page else None,
        }
        return 200, json.dumps(content).encode()

    def _look(self, batch: StoredBatch) -> dict[str, Any]:
        """The batch as it is described now. Each look takes it one status further."""
        if batch.plan:
            batch.fields["status"] = batch.plan.pop(0)
            if batch.fields["status"] in ("completed", "failed", "expired", "cancelled"):
                self._end(batch, batch.fields["status"])
        return batch.fields

    def _end(self, batch: StoredBatch, status: str) -> None:
        """Write the files. Of a batch that expired or was cancelled every second request is answered."""
        batch.plan.clear()
        batch.fields["status"] = status
        if status == "failed":
            batch.fields["errors"] = {"object": "list", "data": list(self.errors)}
            return
        good, bad = [], []
        for place, line in enumerate(self.files[batch.fields["input_file_id"]].splitlines()):
            given = json.loads(line)
            failure = batch.fate(given["custom_id"], place) if batch.fate else None
            if failure is None and (status == "completed" or place % 2 == 0):
                answer = self.endpoint.answer_to(given["body"])
                self.answered[given["custom_id"]] += 1
                response = {"status_code": answer.status, "request_id": "r", "body": json.loads(answer.body)}
                good.append({"id": "r", "custom_id": given["custom_id"], "response": response, "error": None})
            else:
                failure = failure or {"error": {"code": f"batch_{status}", "message": "not executed"}}
                bad.append({"id": "r", "custom_id": given["custom_id"], "response": None, "error": None, **failure})
        for name, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                batch.fields[name] = f"file-{len(self.files)}"
                content = "\n".join(map(json.dumps, reversed(lines))).encode()
                self.files[batch.fields[name]] = self.unreadable + content
