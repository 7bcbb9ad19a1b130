"""A proxy in front of the S3 server of the tests: it records every call and can refuse, drop or cut off some."""

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as S3 names it, and what was answered."""

    name: str
    key: str  # without the bucket
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    status: int | None = None  # None: no answer was given
    bytes: int = 0  # of the answer's body


@dataclass
class _Fault:
    name: str
    times: int
    answer: Callable[["_Handler", Call], None]


def call_name(method: str, key: str, query: dict[str, str]) -> str:
    """The name of a request in AWS's policies."""
    if not key:
        if method == "GET" and "uploads" in query:
            return "ListMultipartUploads"
        return {"GET": "ListObjectsV2" if "list-type" in query else "GetBucket", "HEAD": "HeadBucket"}[method]
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}[method]
    if method == "POST":
        return "CreateMultipartUpload"
    return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}[method]


class S3Proxy:
    """A real server on loopback that forwards every call for which no fault is set."""

    def __init__(self, behind: str) -> None:
        """`behind`: the address of the server that answers."""
        self.behind = urlsplit(behind).netloc
        self.calls: list[Call] = []
        self.faults: list[_Fault] = []
        self.ignores_conditions = False  # writes with If-Match or If-None-Match are forwarded without it
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def names(self) -> list[str]:
        """Names of the calls so far."""
        return [call.name for call in self.calls]

    def refuse(self, name: str, status: int, code: str = "", message: str = "", times: int = 1) -> None:
        """Answer the next calls of that name with an error; without a code, as bare as HeadObject's."""
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode() if code else b""
        self.faults.append(_Fault(name, times, lambda handler, call: handler.answer(call, status, {}, body)))

    def drop(self, name: str, times: int = 1) -> None:
        """Close the connection on the next calls of that name, unread and unanswered."""
        self.faults.append(_Fault(name, times, lambda handler, call: handler.hang_up(call)))

    def lose_answer(self, name: str, times: int = 1) -> None:
        """Forward the next calls of that name, and close the connection instead of answering."""

        def lose(handler: "_Handler", call: Call) -> None:
            handler.forward(call)
            handler.hang_up(call)

        self.faults.append(_Fault(name, times, lose))

    def cut_off(self, name: str, times: int = 1) -> None:
        """Close the connection in the middle of the next answers to calls of that name."""

        def cut(handler: "_Handler", call: Call) -> None:
            status, headers, body = handler.forward(call)
            handler.answer(call, status, headers, body, length=len(body) // 2)

        self.faults.append(_Fault(name, times, cut))

    def before(self, name: str, happen: Callable[[], Any]) -> None:
        """Call `happen` while the next call of that name is in progress."""

        def delay(handler: "_Handler", call: Call) -> None:
            happen()
            handler.answer(call, *handler.forward(call))

        self.faults.append(_Fault(name, 1, delay))

    def fault_for(self, name: str) -> _Fault | None:
        """The fault that is set for this call, if any; uses it up by one."""
        with self.lock:
            for fault in self.faults:
                if fault.name == name and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sent = b""

    def _serve(self) -> None:
        proxy: S3Proxy = self.server.proxy  # type: ignore[attr-defined]
        self.sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(call_name(self.command, key, query), key, query, headers)
        fault = proxy.fault_for(call.name)
        if fault:
            fault.answer(self, call)
        else:
            self.answer(call, *self.forward(call))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

    def forward(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        """Forward the request; status, headers and body of the answer."""
        proxy: S3Proxy = self.server.proxy  # type: ignore[attr-defined]
        connection = http.client.HTTPConnection(proxy.behind)
        left_out = ("if-match", "if-none-match") if proxy.ignores_conditions else ()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
        connection.request(self.command, self.path, self.sent, headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body

    def answer(self, call: Call, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        """Give an answer, or only the first `length` bytes of its body."""
        self._note(call, status, len(body))
        self.send_response(status)
        full = next((value for name, value in headers.items() if name.lower() == "content-length"), str(len(body)))
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", full if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.wfile.write(body[:length])
        if length is not None:
            self.close_connection = True

    def hang_up(self, call: Call) -> None:
        """Close the connection without an answer."""
        self._note(call, None, 0)
        self.close_connection = True

    def _note(self, call: Call, status: int | None, size: int) -> None:
        proxy: S3Proxy = self.server.proxy  # type: ignore[attr-defined]
        with proxy.lock:
            proxy.calls.append(Call(call.name, call.key, call.query, call.headers, status, size))

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
