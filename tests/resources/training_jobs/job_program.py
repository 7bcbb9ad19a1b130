"""A program for training jobs, with the contract of `assets.training_programs.fine_tuning` and none of its weight.

Its specification says what it does: `steps` to take, each `seconds` long and saved to `progress/`; `behave`, a list of
what to do at a step, `[step, what]`, in the attempts named by `attempts` (all unless set); `silent`, no heartbeats;
`ignores_sigterm`; `forgets_manifest`.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from dagster_pipes import (
    PipesContextData,
    PipesContextLoader,
    PipesEnvVarParamsLoader,
    PipesMessage,
    PipesMessageWriter,
    PipesMessageWriterChannel,
    open_dagster_pipes,
)

from resources.lake.opening import open_store
from resources.lake.published_folders import MANIFEST, json_bytes
from resources.lake.store import Store
from resources.training_jobs.job import ATTEMPT, FOLDER, LAKE_ROOT, ORPHAN_MINUTES, SPECIFICATION, attempt_folder


class Context(PipesContextLoader):
    def __init__(self, store: Store) -> None:
        self.store = store

    @contextlib.contextmanager
    def load_context(self, params: Any) -> Iterator[PipesContextData]:
        yield json.loads(self.store.get(params["path"]))


class Channel(PipesMessageWriterChannel):
    """Every message is a chunk at once."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store, self.folder = store, folder
        self.number = len(store.list(folder))  # a backend may have restarted the job under its name

    def write_message(self, message: PipesMessage) -> None:
        self.number += 1
        self.store.put(f"{self.folder}/{self.number}.json", json.dumps(message).encode())


class Messages(PipesMessageWriter[Channel]):
    def __init__(self, store: Store) -> None:
        self.store = store

    @contextlib.contextmanager
    def open(self, params: Any) -> Iterator[Channel]:
        yield Channel(self.store, params["folder"])


class Interrupted(BaseException):
    """SIGTERM."""


def interrupted(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def main() -> int:
    store, folder, attempt = open_store(os.environ[LAKE_ROOT]), os.environ[FOLDER], int(os.environ[ATTEMPT])
    signal.signal(signal.SIGTERM, interrupted)
    specification = json.loads(store.get(f"{folder}/{SPECIFICATION}"))
    sys.stdout.write(f"attempt {attempt} begins\n")
    sys.stdout.flush()
    with open_dagster_pipes(
        context_loader=Context(store),
        message_writer=Messages(store),
        params_loader=PipesEnvVarParamsLoader(),  # type: ignore[no-untyped-call]
    ) as pipes:
        try:
            return train(store, folder, attempt, specification, pipes.log)
        except Interrupted:
            if specification.get("ignores_sigterm"):
                time.sleep(600)
            leave_failure(store, attempt_folder(folder, attempt), 75, "ended by SIGTERM", True)
            return 75


def train(store: Store, folder: str, attempt: int, specification: dict[str, Any], log: logging.Logger) -> int:
    files = attempt_folder(folder, attempt)
    done = [json.loads(store.get(file.path)) for file in store.list(f"{folder}/progress")]
    log.info(f"resumed at step {len(done)}")
    for step in range(len(done), specification["steps"]):
        time.sleep(specification.get("seconds", 0))
        for at, what in specification.get("behave", []):
            if at == step and attempt in specification.get("attempts", [attempt]):
                code = behave(what, store, files)
                if code is not None:
                    return code
        if not specification.get("silent"):
            store.put(f"{files}/heartbeat.json", json_bytes({"time": now().isoformat(), "step": step}))
        orphan_minutes = float(os.environ.get(ORPHAN_MINUTES, "inf"))
        with contextlib.suppress(FileNotFoundError):
            heard = datetime.fromisoformat(json.loads(store.get(f"{files}/parent.json"))["time"])
            if (now() - heard).total_seconds() > orphan_minutes * 60:
                return 76
        store.put(f"{folder}/progress/{step:04d}.json", json_bytes({"step": step, "attempt": attempt}))
        done.append({"step": step, "attempt": attempt})
        log.info(f"step {step}")
        sys.stdout.write(f"step {step}\n")
        sys.stdout.flush()
    if not specification.get("forgets_manifest"):
        store.put_if_absent(f"{folder}/{MANIFEST}", json_bytes({"sum": sum(item["step"] for item in done)}))
    return 0


def now() -> datetime:
    return datetime.now(UTC)


def leave_failure(store: Store, files: str, code: int, message: str, retryable: bool) -> None:
    store.put(f"{files}/failure.json", json_bytes({"exit": code, "message": message, "retryable": retryable}))


def behave(what: str, store: Store, files: str) -> int | None:
    if what == "fail":
        sys.stdout.write("step 7: NaN\ntrainer: the loss is NaN\n")
        leave_failure(store, files, 2, "the loss is NaN", False)
        return 2
    if what == "out of reach":
        leave_failure(store, files, 1, "no network", True)
        return 1
    if what == "interrupted":
        return 75
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "wait":
        time.sleep(600)
    return None


if __name__ == "__main__":
    sys.exit(main())
