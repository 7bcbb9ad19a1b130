"""The chat engine, journal on, beside a bare aiohttp loop against the same endpoint.

    python -m benchmarks.engine                      300 dialogues of 3 calls, 200 ms, 100 at once
    python -m benchmarks.engine --dialogues 1000     the long form
    python -m benchmarks.engine --faults             5 % 429, 2 % 500, 1 % malformed, 1 % resets (engine only)
    python -m benchmarks.engine --cap 60             the endpoint refuses more than 60 in flight (engine only)
    python -m benchmarks.engine --bucket 300         the endpoint serves 300 calls/s (engine only)
    python -m benchmarks.engine --tail               log-normal latency, p99 ten times the median
    python -m benchmarks.engine --kill               SIGKILL half way, then the same again: what is paid twice
    python -m benchmarks.engine --kill --s3 --dialogues 3000 --latency 0.5
                                                     the same, the lake on a moto S3 server

The endpoint and each client are processes of their own; times are taken at the endpoint, from the first call's arrival
to the last answer. CPU is the client's from its first answer on, so that imports are left out of it.
"""

import argparse
import asyncio
import gc
import heapq
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.results_table import Measured, at_least, at_most, quick_options, show

CALLS = 3
PROMPT = "Explain, step by step, how many apples are left when a basket of forty is shared among seven children. " * 5
ANSWER = "Each child gets five apples, because seven times five is thirty-five, and five apples are left over. " * 8


# ---- the endpoint


class Endpoint:
    """What the fake endpoint does with each call, and when the calls came and went."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.reset()

    def reset(self) -> None:
        self.random = random.Random(7)
        self.first = self.last = 0.0
        self.served = self.refused = self.in_flight = self.peak = 0
        self.delays: list[float] = []
        self.tokens, self.filled_at = 20.0, time.monotonic()

    def stats(self) -> dict[str, Any]:
        names = ("first", "last", "served", "refused", "peak", "delays")
        return {name: getattr(self, name) for name in names}

    def latency(self) -> float:
        if not self.options.tail:
            return float(self.options.latency)
        # log-normal: the 99th percentile lies 2.326 standard deviations above the median
        return float(self.options.latency) * math.exp(self.random.gauss(0, math.log(10) / 2.326))

    def refuses(self) -> bool:
        options, now = self.options, time.monotonic()
        if options.cap and self.in_flight >= options.cap:
            return True
        if options.bucket:
            self.tokens = min(20.0, self.tokens + (now - self.filled_at) * options.bucket)
            self.filled_at = now
            if self.tokens < 1:
                return True
            self.tokens -= 1
        return bool((options.faults or options.soak) and self.random.random() < 0.05)


class Protocol(asyncio.Protocol):
    """Just enough HTTP/1.1 to answer posts on kept-alive connections, at little cost."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.buffer = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            _, found, length = head.partition(b"content-length:")
            size = int(length.split(b"\r\n")[0]) if found else 0
            if len(self.buffer) < end + 4 + size:
                return
            self.buffer = self.buffer[end + 4 + size :]
            self.handle(head)

    def handle(self, head: bytes) -> None:
        endpoint = self.endpoint
        if head.startswith(b"get /stats?brief"):
            return self.send(200, json.dumps({"served": endpoint.served}).encode())
        if head.startswith(b"get /stats"):
            return self.send(200, json.dumps(endpoint.stats()).encode())
        if head.startswith(b"get /reset"):
            endpoint.reset()
            return self.send(200, b"{}")
        now = time.monotonic()
        endpoint.first = endpoint.first or now
        if endpoint.refuses():
            endpoint.refused += 1
            after = b"Retry-After: 1\r\n" if endpoint.options.faults else b""
            return self.send(429, b'{"error": {"message": "slow down"}}', after)
        endpoint.in_flight += 1
        endpoint.peak = max(endpoint.peak, endpoint.in_flight)
        delay = endpoint.latency()
        endpoint.delays.append(delay)
        asyncio.get_running_loop().call_later(delay, self.answer)
        return None

    def answer(self) -> None:
        endpoint = self.endpoint
        endpoint.in_flight -= 1
        endpoint.last = time.monotonic()
        draw = endpoint.random.random() if endpoint.options.faults or endpoint.options.soak else 1.0
        if draw < 0.02:
            return self.send(500, b'{"error": {"message": "broken"}}')
        if draw < 0.03:
            return self.send(200, b"<html>not what was asked for</html>")
        if draw < 0.04:
            self.transport.abort()
            return None
        if draw < 0.06 and endpoint.options.soak:
            if draw < 0.05:  # half an answer, and then nothing until the client's time-out
                self.transport.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY[:99]))
            return None
        endpoint.served += 1
        return self.send(200, BODY)

    def send(self, status: int, body: bytes, headers: bytes = b"") -> None:
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(body))
        self.transport.write(head + headers + b"\r\n" + body)


BODY = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}],
        "usage": {"prompt_tokens": 120, "completion_tokens": 180, "total_tokens": 300},
    }
).encode()


async def serve(options: argparse.Namespace) -> None:
    endpoint = Endpoint(options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(endpoint), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# ---- the clients


class Meter:
    """CPU seconds of this process since its first answer."""

    def __init__(self) -> None:
        self.started: float | None = None
        self.answers = 0

    def answered(self) -> None:
        self.answers += 1
        if self.started is None:
            self.started = time.process_time()

    def milliseconds_a_call(self) -> float:
        return 1000 * (time.process_time() - (self.started or 0.0)) / max(1, self.answers - 1)


async def at_once(jobs: int, limit: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Run `work(0)` … `work(jobs - 1)`, never more than `limit` at a time."""
    numbers = iter(range(jobs))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(limit)))


async def run_bare(options: argparse.Namespace) -> dict[str, Any]:
    import aiohttp

    meter = Meter()
    started = time.monotonic()
    connector = aiohttp.TCPConnector(limit=options.at_once)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def dialogue(number: int) -> None:
            for turn in range(CALLS):
                messages = [{"role": "system", "content": "You teach."}, {"role": "user", "content": PROMPT}]
                body = {"model": "m", "messages": messages, "temperature": 0.2, "max_tokens": 256, "user": f"{number}"}
                async with session.post(f"{options.url}/chat/completions", json=body) as response:
                    answer = json.loads(await response.read())
                assert answer["choices"][0]["message"]["content"], turn
                meter.answered()

        await at_once(options.dialogues, options.at_once, dialogue)
    return {"started": started, "cpu_ms": meter.milliseconds_a_call()}


async def run_engine(options: argparse.Namespace) -> dict[str, Any]:
    from resources.chat.calls import Call, CallFailed, Message
    from resources.chat.engine import ChatEngine
    from resources.chat.profile import Profile
    from resources.lake.opening import open_store

    role = {"endpoint": "fake", "model": "m", "temperature": 0.2, "max_tokens": 256}
    profile = Profile.model_validate(
        {
            "name": "benchmark",
            "endpoints": {"fake": {"base_url": options.url, "max_concurrency": options.at_once}},
            "roles": {"any": role},
        }
    )
    meter = Meter()
    lost: list[str] = []

    async def generate() -> tuple[float, int]:
        started = time.monotonic()
        async with ChatEngine(profile, open_store(options.lake), on_connect=gc.freeze) as engine:

            async def dialogue(number: int) -> None:
                try:
                    for turn in range(CALLS):
                        messages = (Message("system", "You teach."), Message("user", PROMPT))
                        call = Call("any", messages, sample=f"d{number}", turn=f"{turn}-teacher")
                        await engine.complete(call, scope="scenario_dialogues/debate|bench-0000")
                        meter.answered()
                except CallFailed as failed:
                    lost.append(failed.reason)

            # Without refusals the hundred dialogues of the bare loop, else the engine's own target_concurrency.
            hungry = options.faults or options.cap or options.bucket or options.tail
            await at_once(options.dialogues, engine.target_concurrency if hungry else options.at_once, dialogue)
        return started, engine.total.retries

    started, retries = await generate()
    cpu = meter.milliseconds_a_call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    replay_started = time.monotonic()
    await generate()
    replay = options.dialogues / (time.monotonic() - replay_started)
    return {"started": started, "cpu_ms": cpu, "peak_mb": peak, "replay": replay, "lost": len(lost), "retries": retries}


def measure(client: str, options: argparse.Namespace, url: str, lake: str) -> dict[str, Any]:
    """One client in a process of its own: what it reports, with what the endpoint saw."""
    call(f"{url}/reset")
    command = [sys.executable, __file__, "--client", client, "--url", f"{url}/v1", "--lake", lake, *flags(options)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seen = call(f"{url}/stats")
    report: dict[str, Any] = json.loads(done.stdout)
    report["seconds"] = seen["last"] - seen["first"]
    report["to_first_call"] = seen["first"] - report["started"]
    report.update({name: seen[name] for name in ("refused", "peak", "delays")})
    return report


def flags(options: argparse.Namespace) -> list[str]:
    """The options as the endpoint's and the clients' processes take them."""
    valued = ("dialogues", "at_once", "latency", "cap", "bucket")
    given = [(name, getattr(options, name)) for name in valued]
    worded = [[f"--{name.replace('_', '-')}", str(value)] for name, value in given if value is not None]
    return [word for words in worded for word in words] + [
        f"--{name}" for name in ("faults", "tail", "soak") if getattr(options, name)
    ]


def kill_half_way(options: argparse.Namespace, url: str, lake: str) -> dict[str, int]:
    """Run the engine, kill it at half of the calls, run it again.

    Returns:
        `twice`, the calls that were paid twice, and `segment`, those answered in the time of one of the journal's
        segments before the kill.
    """
    from resources.chat.settings import EngineSettings

    calls: int = options.dialogues * CALLS
    call(f"{url}/reset")
    command = [sys.executable, __file__, "--client", "engine", "--url", f"{url}/v1", "--lake", lake, *flags(options)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    served = 0
    recent: deque[tuple[float, int]] = deque()
    while served < calls / 2:
        time.sleep(0.01)
        served = call(f"{url}/stats?brief")["served"]
        recent.append((time.monotonic(), served))
        while recent[0][0] < recent[-1][0] - EngineSettings().segment_seconds:
            recent.popleft()
    process.kill()
    process.wait()
    time.sleep(2 * options.latency)  # what is in flight ends at the endpoint
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"twice": int(call(f"{url}/stats?brief")["served"]) - calls, "segment": served - recent[0][1]}


@contextmanager
def opened_lake(s3: bool) -> Iterator[str]:
    """An empty lake: a folder, or a bucket on a moto server, a process of its own that the environment points to."""
    if not s3:
        with tempfile.TemporaryDirectory() as folder:
            yield folder
        return
    import boto3

    server = subprocess.Popen([sys.executable, __file__, "--serve-s3"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        os.environ |= {
            "AWS_ENDPOINT_URL": server.stdout.readline().strip(),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="lake")
        yield "s3://lake/engine"
    finally:
        server.terminate()
        server.wait()


def serve_s3() -> None:
    """A moto server until this process is ended; its address is the first line."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    threading.Event().wait()


def call(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def greedy_seconds(delays: list[float], dialogues: int, slots: int) -> float:
    """How long an ideal schedule takes that gives each free slot to the next dialogue at once."""
    free = [0.0] * min(slots, dialogues)
    for number in range(dialogues):
        heapq.heappush(free, heapq.heappop(free) + sum(delays[number * CALLS : (number + 1) * CALLS]))
    return max(free)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--cap", type=int)
    parser.add_argument("--bucket", type=int)
    parser.add_argument("--tail", action="store_true")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--s3", action="store_true", help="with --kill: the lake on a moto server instead of a folder")
    quick_options(parser)
    for inner in ("--client", "--url", "--lake"):
        parser.add_argument(inner, help=argparse.SUPPRESS)
    for inner in ("--serve", "--serve-s3", "--soak"):
        parser.add_argument(inner, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options))
    elif options.serve_s3:
        serve_s3()
    elif options.client:
        print(json.dumps(asyncio.run({"bare": run_bare, "engine": run_engine}[options.client](options))))
    elif options.quick:
        show(quick(options), options.json)
    elif options.kill:
        ended, calls = run(options), options.dialogues * CALLS
        print(
            f"{calls} calls, killed half way, then again: {ended['twice']} paid twice, {options.at_once} at once"
            + (f", {ended['segment']} answered in the time of the last segment" if options.s3 else "")
        )
    else:
        print_results(options, run(options))


def quick(options: argparse.Namespace) -> list[Measured]:
    """Every way once, with its targets."""

    def way(**named: Any) -> dict[str, Any]:
        return run(argparse.Namespace(**{**vars(options), **named}))

    clean = way()
    engine = clean["engine"]
    rows = [
        at_least("Engine beside a bare aiohttp loop", clean["bare"]["seconds"] / engine["seconds"], 0.95),
        at_most("CPU a call, journal on, ms", engine["cpu_ms"], 1.0),
        at_most("Peak memory, MB", engine["peak_mb"], 150, "{:.0f}"),
        at_most("Engine's start to the first call, s", engine["to_first_call"], 1.5),
        at_least("Replay of what is finished, dialogues/s", engine["replay"], 5000, "{:,.0f}"),
        at_most("Heavy-tailed latency, x an ideal schedule", way(tail=True)["of_floor"], 1.1),
    ]
    faulty = way(faults=True)["engine"]
    rows += [
        at_most("Faults (429, 500, malformed, resets), x the clean run", faulty["seconds"] / engine["seconds"], 1.6),
        at_most("… dialogues lost", faulty["lost"], 0, "{:.0f}"),
    ]
    for what, named in (("Hard cap of 60 in flight", {"cap": 60}), ("Bucket of 300 calls/s", {"bucket": 300})):
        limited = way(**named)
        rows += [
            at_most(f"{what}, x the floor", limited["of_floor"], 1.15),
            at_most("… share of calls refused", limited["refused"], 0.05, "{:.1%}"),
        ]
    most = options.at_once
    return [*rows, at_most("SIGKILL half way: calls paid twice", way(kill=True)["twice"], most, "{:.0f}")]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One way: what the clients reported, the floor in seconds, the engine's time as a multiple of it."""
    command = [sys.executable, __file__, "--serve", *flags(options)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        if options.kill:
            with opened_lake(options.s3) as lake:
                return kill_half_way(options, url, lake)
        bare = None
        if not (options.faults or options.cap or options.bucket):
            bare = measure("bare", options, url, "")
        with tempfile.TemporaryDirectory() as lake:
            engine = measure("engine", options, url, lake)
    finally:
        server.terminate()
        server.wait()
    calls = options.dialogues * CALLS
    floor = calls * options.latency / min(options.at_once, options.cap or options.at_once)
    if options.bucket:
        floor = calls / options.bucket
    if options.tail:
        floor = greedy_seconds(engine["delays"], options.dialogues, options.at_once)
    return {
        "bare": bare,
        "engine": engine,
        "floor": floor,
        "of_floor": engine["seconds"] / floor,
        "refused": engine["refused"] / (calls + engine["refused"]),
    }


def print_results(options: argparse.Namespace, measured: dict[str, Any]) -> None:
    """Print what one way took."""
    bare, engine, floor = measured["bare"], measured["engine"], measured["floor"]
    print(f"{options.dialogues} dialogues x {CALLS} calls, {options.latency * 1000:g} ms, {options.at_once} at once")
    print(f"floor                  {floor:8.2f} s")
    if bare:
        print(f"bare aiohttp loop      {bare['seconds']:8.2f} s   {bare['cpu_ms']:.2f} ms CPU a call")
    print(f"engine                 {engine['seconds']:8.2f} s   {engine['cpu_ms']:.2f} ms CPU a call")
    if bare:
        print(f"engine / bare loop     {bare['seconds'] / engine['seconds']:8.3f}")
    print(f"engine's time / floor  {measured['of_floor']:8.3f}")
    print(f"to the first call      {engine['to_first_call']:8.2f} s")
    print(f"peak memory            {engine['peak_mb']:8.0f} MB")
    print(f"replay                 {engine['replay']:8.0f} dialogues/s")
    refused = measured["refused"]
    print(f"lost, refused, retried {engine['lost']:8d} dialogues, {refused:.1%} of calls; {engine['retries']} retries")


if __name__ == "__main__":
    main()
