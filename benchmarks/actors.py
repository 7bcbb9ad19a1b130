"""A class of good actors behind a fast fake endpoint, and a deployment that teaches with it.

    python -m benchmarks.actors      serve on loopback; prints the port

Answers come at once and pass the quality rules, so that a release comes out: the weak ones err, those who see the
reference answer follow it, the judge agrees. `/stats` returns when the first completion was requested (monotonic
seconds,
the same clock for all processes of a machine) and how many there were; `/reset` forgets it.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import yaml
from numpy.typing import NDArray

from assets.dialogues.load_scenarios import load_scenarios
from assets.quality.judge import JUDGE_ROLE
from assets.quality.rubric import ABOUT_ANSWERS, ABOUT_DIALOGUES

if TYPE_CHECKING:
    from master_dagster.settings import Settings

DIMENSIONS = 384  # of all-MiniLM-L6-v2, the project's usual embedder
NAMES, TRADES, KINDS, THINGS, PLACES, DAYS = map(
    str.split,
    [
        "Tom Anna Ben Sara Max Lily Omar Ines Paul Mia Finn Zoe Noah Ruth Jack Emma Hugo Nora Leo Ida",
        "baker farmer teacher sailor painter doctor tailor miller gardener driver singer hunter cook mason",
        "small red old heavy round yellow wooden shiny broken cheap soft thin green square dusty long",
        "apples pencils books coins shells cards stones bottles buttons candles plates ribbons nails",
        "kitchen garden market harbour library station village forest cellar stable valley castle",
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    ],
)
REFERENCE = re.compile(r"\n(We add[^\n]*)\n(?:#### |The answer is )(\d+)")
GUIDANCE = "Look at what is there at first and at what comes on top of it, and think about which operation joins them."
WRONG = {
    "weak_student": "I count all the things one after the other and then guess a little. The answer is 9999999.",
    "debater_a": "In my view both numbers belong together, so I put them side by side. The answer is 9999998.",
    "debater_b": "That looks doubtful to me, because I would rather count every single thing again. "
    "The answer is 9999997.",
}


# ---- the dialogues


def question(number: int) -> dict[str, str]:
    """A small sum in words of its own, another for each number."""
    draw = random.Random(number)
    name, thing, other = draw.choice(NAMES), draw.choice(THINGS), draw.choice(PLACES)
    first, second = number + 2, draw.randint(3, 900_000)
    return {
        "question": f"On {draw.choice(DAYS)} {name} the {draw.choice(TRADES)} puts {first} {draw.choice(KINDS)} "
        f"{thing} into the {draw.choice(PLACES)} behind the {draw.choice(KINDS)} {draw.choice(PLACES)}, and a "
        f"{draw.choice(TRADES)} from the {other} brings {second} more {thing}, which are {draw.choice(KINDS)}. "
        f"How many {thing} does {name} have now?",
        "answer": f"We add the {second} {thing} from the {other} to the {first} {thing} that {name} has. "
        f"{first} + {second} = {first + second}.\n#### {first + second}",
    }


def found(folder: Path, url: str, seeds: int, *, shard_size: int = 250, only: str | None = None) -> "Settings":
    """A deployment in `folder` that teaches so many seeds; `only` gives every one of them the same scenario."""
    from master_dagster.settings import Settings  # not for the server, which is to start at once

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "sums.jsonl").open("w") as lines:
        for number in range(seeds):
            lines.write(json.dumps(question(number)) + "\n")
    cast = {
        role: {"endpoint": "actors", "model": role, "temperature": 0.2, "max_tokens": 200}
        for role in (*load_scenarios().roles, JUDGE_ROLE)
    }
    profile = {
        "name": "actors",
        "endpoints": {"actors": {"base_url": f"{url}/v1", "max_concurrency": 16}},
        "roles": cast,
        "embedder": {"kind": "openai", "endpoint": "actors", "model": "words"},
    }
    source = {
        "name": "sums",
        "files": ["sums.jsonl"],
        "fields": {"question": "question", "answer": "answer"},
        "domain": "math",
        "licence": "CC0-1.0",
    }
    settings: dict[str, Any] = {"lake_root": str(folder / "lake")}
    files: dict[str, Mapping[str, Any]] = {
        "profile": profile,
        "seeds": {"shard_size": shard_size, "sources": [source]},
    }
    if only:
        shares = {name: float(name == only) for name in ("error_correction", "debate", "analogy")}
        files["plan_rules"] = {"scenarios": shares}
    for name, content in files.items():
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        settings[name] = str(path)
    return Settings(_env_file=None, **settings)


# ---- the endpoint


def play(body: Mapping[str, Any]) -> str:
    """What the actor of this role says; the model's name is the role's."""
    role = body["model"]
    if role == JUDGE_ROLE:
        return verdict(body["response_format"]["json_schema"]["schema"]["properties"])
    if role in ("critic_teacher", "explaining_teacher"):
        return GUIDANCE
    if role in WRONG:
        return WRONG[role]
    working, result = REFERENCE.findall("\n".join(message["content"] for message in body["messages"]))[-1]
    return f"Let me work through it with care. {working} So the answer is {result}."


def verdict(asked: Mapping[str, Any]) -> str:
    """A verdict in which nothing is wrong, for the findings of a schema."""
    good = {finding.name: finding.good for finding in (*ABOUT_ANSWERS, *ABOUT_DIALOGUES)}
    found = {}
    for key, schema in asked.items():
        allowed = schema["properties"]["value"]["enum"]
        known = ("same", "fulfils", *good.get(key.rstrip("_0123456789"), ()))
        value = next(one for one in allowed if one in known)
        found[key] = {"reason": "The result agrees with the reference.", "value": value}
    return json.dumps(found)


def completion(text: str) -> dict[str, Any]:
    """An answer as OpenAI writes it."""
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": "actors",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 40, "total_tokens": 240},
    }


@cache
def word_vector(word: str) -> NDArray[np.float32]:
    """A random vector, the same for the same word."""
    return np.random.default_rng(crc32(word.encode())).standard_normal(DIMENSIONS, dtype=np.float32)


def embed(text: str) -> list[float]:
    """The unit vector of a text's words, numbers aside."""
    vector = np.sum([word_vector(word) for word in re.findall(r"[a-z]+", text.lower())], axis=0)
    unit: list[float] = (vector / np.linalg.norm(vector)).round(6).tolist()
    return unit


class Stage(asyncio.Protocol):
    """Just enough HTTP/1.1 to answer on kept-alive connections, at little cost."""

    seen: dict[str, Any] = {"first": None, "calls": 0}  # noqa: RUF012 - of the whole process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            _, given, length = head.lower().partition(b"content-length:")
            size = int(length.split(b"\r\n")[0]) if given else 0
            if len(self.buffer) < end + 4 + size:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + size], self.buffer[end + 4 + size :]
            answer = json.dumps(self.answer(head.split(b" ", 2)[1], body)).encode()
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(answer), answer)
            )

    def answer(self, path: bytes, body: bytes) -> dict[str, Any]:
        if path.endswith(b"/chat/completions"):
            self.seen["first"] = self.seen["first"] or time.monotonic()
            self.seen["calls"] += 1
            return completion(play(json.loads(body)))
        if path.endswith(b"/embeddings"):
            texts = json.loads(body)["input"]
            data = [
                {"object": "embedding", "index": place, "embedding": embed(text)} for place, text in enumerate(texts)
            ]
            return {"object": "list", "data": data, "model": "words", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        if path == b"/reset":
            self.seen.update(first=None, calls=0)
        return self.seen


async def serve() -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Stage, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def actors() -> Iterator[str]:
    """The endpoint in a process of its own; its address without `/v1`."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.actors"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def get_json(url: str) -> dict[str, Any]:
    """The JSON that the endpoint returns at this address."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        said: dict[str, Any] = json.load(answer)
        return said


if __name__ == "__main__":
    asyncio.run(serve())
