"""The program that runs the code inside the sandbox: `python -I -S inside.py <facts as JSON>`.

It reads the code from its standard input, sets its own limits, runs the code, and reports on a pipe how that ended. It
uses only Python's standard library, because the sandbox has no other packages. See `resources.sandbox.sandbox`.
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
    report(facts, STARTED, "")
    with open("/dev/null", "rb") as nothing:  # noqa: PTH123 - importing pathlib takes a tenth of the start
        os.dup2(nothing.fileno(), 0)
    sys.argv = ["program.py"]
    sys.path.append(PACKAGES)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's threads would count as processes
    limit(facts)
    report(facts, *run(source))
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads and exit handlers


def limit(facts: dict[str, Any]) -> None:
    """Set the limits, and another user id where root started it: the limit on processes does not apply to root."""
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
    # bubblewrap's process in the namespace and this one count too
    resource.setrlimit(resource.RLIMIT_NPROC, (facts["processes"] + 2, facts["processes"] + 2))


def run(source: bytes) -> tuple[str, str]:
    """Run the code. Returns how it ended, and details."""
    try:
        exec(compile(source, "program.py", "exec"), {"__name__": "__main__"})  # noqa: S102 - what the sandbox is for
    except MemoryError:
        return "no_memory", "MemoryError"
    except SystemExit as leaving:
        return "killed", f"it left by SystemExit({leaving.code!r:.100}) before its last line"
    except BaseException as error:
        return "error", describe(error)
    return "finished", ""


def describe(error: BaseException) -> str:
    """The error and its line. An error whose own text raises is described too."""
    line = next((frame.lineno for frame in reversed(traceback.extract_tb(error.__traceback__))), None)
    text = "(no text)"
    with contextlib.suppress(BaseException):
        text = str(error)
    return f"{type(error).__name__}: {text[:1000]} (line {line})"


def report(facts: dict[str, Any], ending: str, detail: str) -> None:
    """Write one line to the pipe."""
    with contextlib.suppress(OSError):
        os.write(facts["status"], json.dumps([facts["token"], ending, detail]).encode() + b"\n")


if __name__ == "__main__":
    main()
