"""How long started servers ran on this machine and how long they take to start, in the user's cache folder."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from resources.model_servers.embedded.weights import cache_folder
from resources.model_servers.started.configuration import StartedServer


@dataclass(frozen=True, slots=True)
class ServerUsage:
    """What one server has used so far. Its machine's price is in US dollars."""

    title: str = ""
    starts: int = 0
    startup_seconds: float = 0.0  # of the last start
    running_seconds: float = 0.0  # of all its starts, with the time to start and the idle time
    cost: float = 0.0  # of that time, where the machine has a price


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server between its start and its end, the same for all runs that lease it."""

    id: str
    model: str  # its name at the server
    started: float  # seconds since 1970
    idle_seconds: float  # that it goes on running after its last client
    price_per_hour: float | None  # of its machine, in US dollars


def record_usage(
    name: str, title: str, *, starts: int, startup_seconds: float, running_seconds: float, price_per_hour: float | None
) -> None:
    """Add what a server has used since it was last recorded. Only the program of that server calls it."""
    before = read_usage(name)
    cost = before.cost + running_seconds / 3600 * (price_per_hour or 0.0)
    usage = ServerUsage(title, before.starts + starts, startup_seconds, before.running_seconds + running_seconds, cost)
    file = _file(name)
    with suppress(OSError):  # a cache that cannot be written costs the figures only
        file.parent.mkdir(parents=True, exist_ok=True)
        staged = file.with_suffix(".new")
        staged.write_text(json.dumps(asdict(usage)), encoding="utf-8")
        staged.replace(file)


def read_usage(name: str) -> ServerUsage:
    """What the server of that name has used; zeros where it never ran."""
    try:
        return ServerUsage(**json.loads(_file(name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return ServerUsage()


def usage_name(kind: str, server: StartedServer) -> str:
    """The name under which a server's use is recorded: of its kind, model, GPUs and arguments."""
    facts = json.dumps([kind, server.model, server.gpus, server.arguments])
    return f"{kind}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def _file(name: str) -> Path:
    return cache_folder() / "model_servers" / f"{name}.json"
