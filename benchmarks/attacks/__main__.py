"""Attacks of every kind, and how many of them were withstood.

    python -m benchmarks.attacks                     all kinds, a few minutes
    python -m benchmarks.attacks texts forgeries     some kinds
    python -m benchmarks.attacks --json              a line of JSON

`texts`: hostile texts of 100,000 characters, to every reader, screen and signal. `bodies`: damaged and hostile answers
of a server. `echoes`: answers that repeat the key, in every place and encoding. `forgeries`: programs that try to pass
their tests without solving the task. `kills`: SIGKILL at random moments of a run of the whole graph, the lake on disk;
`kills_on_s3`: on an S3 server. The payloads are those of the tests (`tests/attacks/`).
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks.attacks import bodies, echoes, forgeries, kills, texts
from benchmarks.attacks.tally import Tally

KINDS: dict[str, Callable[[], Tally]] = {
    "texts": texts.run,
    "bodies": bodies.run,
    "echoes": echoes.run,
    "forgeries": forgeries.run,
    "kills": kills.run,
    "kills_on_s3": kills.run_on_s3,
}


def main() -> int:
    """Run the chosen kinds. Returns 1 where an attack was not withstood."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="all, if none is given")
    parser.add_argument("--json", action="store_true", help="print a line of JSON")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # each refused answer is a warning
    tallies = []
    for kind in options.kinds or KINDS:
        tallies.append(KINDS[kind]())
        print(f"{kind}: {tallies[-1].withstood} of {tallies[-1].tried} withstood", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([asdict(tally) | {"withstood": tally.withstood} for tally in tallies]))
    else:
        table = Table("attack", "tried", "withstood", "note")
        for tally in tallies:
            table.add_row(tally.kind, str(tally.tried), str(tally.withstood), tally.note)
        console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
        console.print(table)
        for tally in tallies:
            for line in tally.succeeded:
                console.print(f"{tally.kind}: {line}", markup=False)
    return int(any(tally.succeeded for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
