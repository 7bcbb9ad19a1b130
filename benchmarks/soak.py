"""The chat engine for half an hour against an endpoint with random faults: nothing may grow.

    python -m benchmarks.soak --minutes 30
    python -m benchmarks.soak --minutes 2      a try
    python -m benchmarks.soak --rounds 500     as many rounds as in half an hour, without latency and faults

Rounds of dialogues, each a partition of its own in the journal, deleted when it is done, all through one engine. The
endpoint is a process of its own; it refuses, fails, sends half answers, resets and stalls. Between rounds memory,
tasks, open files, connections and threads are counted. The exit code is not 0 where the second half lies above the
first by more than chance, or where there are more connections than call slots.
"""

import argparse
import asyncio
import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from resources.chat.calls import Call, CallFailed, Message
from resources.chat.engine import ChatEngine
from resources.chat.journal import delete_journal
from resources.chat.profile import Profile
from resources.chat.retries import RetryPolicy
from resources.lake.store import LocalStore

DIALOGUES = 60  # a round
SLOTS = 20
OTHER_SOCKETS = 6  # of the event loop
TURNS = 3
WARM_ROUNDS = 0.2  # of all, left out: pools and caches fill
MEGABYTES_ALLOWED = 2.0  # by which the resident set may rise from half to half, however long it takes
OTHERS_ALLOWED = 2.0  # of tasks, files, threads


@dataclass(frozen=True, slots=True)
class Count:
    """What the process holds between two rounds."""

    seconds: float
    megabytes: float
    tasks: int
    files: int
    connections: int
    threads: int


def count(started: float) -> Count:
    """What this process holds now."""
    gc.collect()
    open_files = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Count(
        seconds=time.monotonic() - started,
        megabytes=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        tasks=len(asyncio.all_tasks()),
        files=sum(not target.startswith("socket:") for target in open_files),
        connections=sum(target.startswith("socket:") for target in open_files),
        threads=threading.active_count(),
    )


async def soak(url: str, folder: Path, minutes: float, rounds: int | None) -> tuple[list[Count], ChatEngine, int]:
    """So many rounds, or for so many minutes: the counts after each, the engine, how many dialogues were set aside."""
    role = {"endpoint": "fake", "model": "m", "temperature": 0.2, "max_tokens": 256}
    profile = Profile.model_validate(
        {
            "name": "soak",
            "endpoints": {"fake": {"base_url": url, "max_concurrency": SLOTS, "timeout_seconds": 0.5}},
            "roles": {"any": role},
        }
    )
    store, counts, lost = LocalStore(folder), [], 0
    started = time.monotonic()
    async with ChatEngine(
        profile, store, retries=RetryPolicy(attempts=12, first_wait=0.02, longest_wait=0.3)
    ) as engine:
        number = 0
        while number < rounds if rounds else time.monotonic() - started < 60 * minutes:
            scope = f"scenario_dialogues/debate|soak-{number:06}"

            async def dialogue(sample: int, scope: str = scope) -> None:
                for turn in range(TURNS):
                    words = f"Question {sample}, turn {turn}. " + "word " * random.randrange(200)
                    message = Message("user", words)
                    call = Call("any", (message,), sample=f"d{sample}", turn=f"{turn}")
                    await engine.complete(call, scope=scope)

            ended = await asyncio.gather(*(dialogue(one) for one in range(DIALOGUES)), return_exceptions=True)
            faults = [fault for fault in ended if fault is not None]
            others = [fault for fault in faults if not isinstance(fault, CallFailed)]
            if others:
                raise others[0]
            lost += len(faults)
            engine.take_usage(scope)
            await asyncio.to_thread(delete_journal, store, scope)
            counts.append(count(started))
            number += 1
    return counts, engine, lost


def grown(counts: list[Count]) -> list[str]:
    """What grew from the first half of the rounds to the second, the first of all left out."""
    settled = counts[int(WARM_ROUNDS * len(counts)) :]
    first, second = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    found = []
    most = max(one.connections for one in settled)
    if most > SLOTS + OTHER_SOCKETS:
        found.append(f"connections: {most}, for {SLOTS} calls at once")
    for field in fields(Count)[1:]:
        if field.name == "connections":
            continue
        before, after = (statistics.median(getattr(one, field.name) for one in half) for half in (first, second))
        allowed = MEGABYTES_ALLOWED if field.name == "megabytes" else OTHERS_ALLOWED
        if after - before > allowed:
            found.append(f"{field.name}: {before:g} in the first half, {after:g} in the second")
    return found


def show(counts: list[Count]) -> None:
    """A table of some ten rows."""
    names = [field.name for field in fields(Count)]
    print("  ".join(f"{name:>11}" for name in names))
    for one in counts[:: max(1, len(counts) // 10)]:
        print(
            "  ".join(
                f"{getattr(one, name):>11.1f}" if name == "megabytes" else f"{getattr(one, name):>11.0f}"
                for name in names
            )
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rounds", type=int, help="instead: so many, without latency and faults")
    options = parser.parse_args()
    bad_luck = ["--latency", "0"] if options.rounds else ["--latency", "0.05", "--soak"]
    command = [sys.executable, str(Path(__file__).with_name("engine.py")), "--serve", *bad_luck]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        with tempfile.TemporaryDirectory() as folder:
            counts, engine, lost = asyncio.run(soak(url, Path(folder), options.minutes, options.rounds))
    finally:
        server.terminate()
        server.wait()
    show(counts)
    total = engine.total
    print(
        f"{len(counts)} rounds, {total.calls} calls, {total.retries} retries, {total.wasted} wasted, {lost} set aside"
    )
    if len(counts) < 20:
        print("too few rounds to distinguish growth from chance: run it longer")
        return 2
    found = grown(counts)
    print("\n".join(f"GROWN {what}" for what in found) or "nothing grew")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
