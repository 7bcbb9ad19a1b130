"""A background server without a model: a program for the tests of the lease.

After `GET /sicken` its health check fails. With `--gate PATH` it loads until that file exists.
"""

import argparse
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from resources.model_servers.background import serve_until_idle
from resources.model_servers.lease import ServerFiles


class Handler(BaseHTTPRequestHandler):
    healthy = True

    def do_GET(self) -> None:
        if self.path == "/sicken":
            Handler.healthy = False
        self.send_response(200 if Handler.healthy else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class TinyServer:
    def __init__(self) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{server.server_port}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--idle-seconds", type=float, default=0.2)
    parser.add_argument("--gate", type=Path)
    parser.add_argument("--fails", default="")
    options = parser.parse_args()

    def open_server() -> TinyServer:
        if options.fails:
            raise RuntimeError(options.fails)
        while options.gate and not options.gate.exists():
            time.sleep(0.01)
        return TinyServer()

    serve_until_idle(ServerFiles(options.folder, "tiny"), open_server, options.idle_seconds)


if __name__ == "__main__":
    main()
