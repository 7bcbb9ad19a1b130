"""A program that behaves like `vllm serve` without a model: its options, its health check, its failures to start.

What goes wrong is said by the environment variable STAND_IN: `out_of_memory`, `gated`, `not_found`, `crash`, `slow`
(it answers once the file STAND_IN_GATE exists), `port_taken_once`, `dies` (it ends during its first chat completion,
once). Each start appends one line to `starts.jsonl` in the folder STAND_IN_FOLDER.
"""

import argparse
import json
import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

FAILURES = {
    "out_of_memory": "ValueError: Free memory on device (0.49/79.32 GiB) on startup is less than desired GPU memory "
    "utilization (0.9, 71.39 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
    "gated": "OSError: You are trying to access a gated repo.\n401 Client Error.",
    "not_found": "OSError: nobody/nothing is not a local folder and is not a valid model identifier listed on "
    "'https://huggingface.co/models'",
    "crash": "RuntimeError: Engine core initialization failed. See root cause above.",
}


def parse() -> argparse.Namespace:
    """The documented options (options.yaml); argparse ends with `unrecognized arguments` for others."""
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    documented = yaml.safe_load(Path(os.environ["STAND_IN_OPTIONS"]).read_text(encoding="utf-8"))["vllm"]["options"]
    for name, value in documented.items():
        if value == "flag":
            parser.add_argument(name, action="store_true")
        else:
            parser.add_argument(name, type={"text": str, "number": int}[value])
    return parser.parse_args()


class Server(ThreadingHTTPServer):
    options: argparse.Namespace
    folder: Path
    models: dict[str, str]  # where each is, by name


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path == "/health":
            self.reply({})
        elif self.allowed():
            self.reply({"data": [{"id": name, "root": root} for name, root in self.server.models.items()]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        if self.path == "/v1/load_lora_adapter":
            self.load(body)
            return
        died = self.server.folder / "died"
        if os.environ.get("STAND_IN") == "dies" and not died.exists():
            died.touch()
            os._exit(1)
        if body["model"] not in self.server.models:
            self.reply({"error": {"message": f"The model `{body['model']}` does not exist."}}, 404)
            return
        message = {"role": "assistant", "content": f"from {body['model']}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.reply({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})

    def load(self, body: dict[str, str]) -> None:
        config = Path(body["lora_path"]) / "adapter_config.json"
        if not os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") or not config.is_file():
            self.reply({"error": {"message": f"No adapter found for {body['lora_path']}"}}, 404)
        elif json.loads(config.read_text())["r"] > self.server.options.max_lora_rank:
            self.reply({"error": {"message": "LoRA rank is greater than max_lora_rank"}}, 400)
        else:
            self.server.models[body["lora_name"]] = body["lora_path"]
            self.reply("Success: LoRA adapter added successfully")

    def allowed(self) -> bool:
        key = os.environ.get("VLLM_API_KEY")
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self.reply({"error": "Unauthorized"}, 401)
            return False
        return True

    def reply(self, content: Any, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    options, behaviour = parse(), os.environ.get("STAND_IN", "")
    folder = Path(os.environ["STAND_IN_FOLDER"])
    with (folder / "starts.jsonl").open("a") as starts:
        started = {"pid": os.getpid(), "arguments": sys.argv[1:], "environment": sorted(os.environ)}
        starts.write(json.dumps(started) + "\n")
    sys.stderr.write(f"INFO starting with {os.environ.get('HF_TOKEN')} and {os.environ.get('VLLM_API_KEY')}\n")
    if behaviour in FAILURES:
        sys.stderr.write(f"{FAILURES[behaviour]}\n")
        sys.exit(1)
    if behaviour == "port_taken_once" and not (folder / "taken").exists():
        (folder / "taken").touch()
        taken = socket.create_server(("127.0.0.1", 0))
        options.port = taken.getsockname()[1]
    try:
        server = Server(("127.0.0.1", options.port), Handler, bind_and_activate=False)
        server.allow_reuse_address = False
        server.server_bind()
    except OSError as error:
        sys.stderr.write(f"ERROR: [Errno 98] error while attempting to bind on address: {error}\n")
        sys.exit(1)
    while behaviour == "slow" and not Path(os.environ["STAND_IN_GATE"]).exists():
        time.sleep(0.01)
    server.options, server.folder = options, folder
    server.models = {options.served_model_name or options.model: options.model}
    server.server_activate()
    server.serve_forever()


if __name__ == "__main__":
    main()
