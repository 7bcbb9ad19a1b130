"""`stand_in`: an executable that behaves like vLLM, with runtime and cache folders of its own."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resources.model_servers.lease import ServerFiles, live_server
from resources.model_servers.started.configuration import StartedServer
from tests.waiting import until

HERE = Path(__file__).parent / "started"
MODEL = "some/model"


@dataclass
class StandIn:
    """The executable and what it recorded."""

    executable: Path
    folder: Path
    runtime: Path

    def server(self, **settings: Any) -> StartedServer:
        """Settings of a server that is this executable."""
        passed = ("STAND_IN", "STAND_IN_FOLDER", "STAND_IN_OPTIONS", "STAND_IN_GATE", *settings.pop("environment", ()))
        chosen = {"executable": str(self.executable), "idle_seconds": 0.3, "start_seconds": 60, "model": MODEL}
        return StartedServer.model_validate({**chosen, **settings, "environment": passed})

    @property
    def starts(self) -> list[dict[str, Any]]:
        """What it was started with, each time."""
        file = self.folder / "starts.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def live(self) -> list[ServerFiles]:
        """The servers that run now."""
        found = [ServerFiles(state.parent, state.stem) for state in self.runtime.glob("master-dagster/*.server")]
        return [files for files in found if live_server(files)]

    @property
    def log(self) -> str:
        """Everything that was logged."""
        return "".join(file.read_text() for file in sorted(self.runtime.glob("master-dagster/*.log*")))

    def has_ended(self) -> bool:
        """Whether the newest process has ended, with the program that started it."""
        return not self.live and not _runs(self.starts[-1]["pid"])


def _runs(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    executable = tmp_path / "vllm"
    executable.write_text(f"#!{sys.executable}\n{(HERE / 'stand_in.py').read_text()}")
    executable.chmod(0o755)
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name, value in {
        "XDG_RUNTIME_DIR": runtime,
        "XDG_CACHE_HOME": tmp_path / "cache",
        "STAND_IN": "",
        "STAND_IN_FOLDER": tmp_path,
        "STAND_IN_OPTIONS": HERE / "options.yaml",
        "STAND_IN_GATE": tmp_path / "gate",
    }.items():
        monkeypatch.setenv(name, str(value))
    found = StandIn(executable, tmp_path, runtime)
    yield found
    for files in found.live:
        if server := live_server(files):
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGTERM)
    until(lambda: not found.live)
