"""The program that runs inside the sandbox, before and around the code: `python -I -S sandboxed.py <facts as JSON>`.

It reads the code from its standard input, takes limits upon itself, runs the code, and tells on a pipe how that ended.
It knows nothing but Python's standard library, for nothing else is there. See `resources.sandbox.sandbox`.
"""

import contextlib
import json
import math
import os
import resource
import sys
import traceback
from typing import Any

PACKAGES = "/packages"
STARTED = "started"


def main() -> None:
    facts = json.loads(sys.argv[1])
    source = sys.stdin.buffer.read()
    tell(facts, STARTED, "")
    with open("/dev/null", "rb") as nothing:  # noqa: PTH123 - no pathlib: it costs a tenth of a start
        os.dup2(nothing.fileno(), 0)
    sys.argv = ["program.py"]
    sys.path.append(PACKAGES)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's threads would want memory and processes
    limit(facts)
    tell(facts, *run(source))
    sys.stdout.flush()
    os._exit(0)  # what threads and exit handlers still want does not matter


def limit(facts: dict[str, Any]) -> None:
    """Take the limits, and another user's id where root started it: root's processes are not counted."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    seconds = math.ceil(facts["seconds"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    for kind, megabytes in ((resource.RLIMIT_AS, facts["memory_mb"]), (resource.RLIMIT_FSIZE, facts["file_mb"])):
        resource.setrlimit(kind, (megabytes * 2**20, megabytes * 2**20))
    if facts["user"]:
        os.setgroups([])
        os.setgid(facts["user"])
        os.setuid(facts["user"])
    # bubblewrap's own process in the namespace and this one count, too
    resource.setrlimit(resource.RLIMIT_NPROC, (facts["processes"] + 2, facts["processes"] + 2))


def run(source: bytes) -> tuple[str, str]:
    """Run the code; how it ended, and in words."""
    try:
        exec(compile(source, "program.py", "exec"), {"__name__": "__main__"})  # noqa: S102 - what the sandbox is for
    except MemoryError:
        return "no_memory", "MemoryError"
    except SystemExit as leaving:
        return "killed", f"it left by SystemExit({leaving.code!r:.100}) before its last line"
    except BaseException as error:
        return "error", described(error)
    return "finished", ""


def described(error: BaseException) -> str:
    """The error and its line, in few words. Whatever the error's own text does is contained."""
    line = next((frame.lineno for frame in reversed(traceback.extract_tb(error.__traceback__))), None)
    text = "(no text)"
    with contextlib.suppress(BaseException):
        text = str(error)
    return f"{type(error).__name__}: {text[:1000]} (line {line})"


def tell(facts: dict[str, Any], ending: str, detail: str) -> None:
    """One line on the pipe."""
    with contextlib.suppress(OSError):
        os.write(facts["status"], json.dumps([facts["token"], ending, detail]).encode() + b"\n")


if __name__ == "__main__":
    main()
