"""How fast and in how much memory a big source is sampled: `python -m benchmarks.seed_sampling --rows 1000000`.

Writes a JSON-lines file of made-up questions, reads it plainly (`json.loads`, line by line, nothing kept), takes a
sample of it into a fresh lake, and prints rows a second, of the clock and of the CPU, and the highest resident memory
of each, a process of its own. Both lie in a temporary folder that is removed.
"""

import argparse
import contextlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from assets.seeds.configuration import Fields, SeedsConfiguration, SourceConfiguration
from assets.seeds.intake import take_in
from resources.lake.tables import Lake

SENTENCES = 2000


def write_rows(path: Path, rows: int) -> None:
    """Made-up rows of some 600 bytes, one in a thousand of them broken."""
    draw = random.Random(0)
    sentences = [" ".join(f"word{draw.randrange(5000)}" for _ in range(15)) for _ in range(SENTENCES)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            question = " ".join(draw.choices(sentences, k=2)) + f" {number}?"
            answer = " ".join(draw.choices(sentences, k=3)) + f" The answer is {number}."
            line = json.dumps({"question": question, "answer": answer})
            file.write((line[:-5] if number % 1000 == 999 else line) + "\n")


def read(folder: Path, sample: int) -> None:
    """Take the sample in and say what it cost."""
    source = SourceConfiguration(
        name="many",
        files=["many.jsonl"],
        fields=Fields(question=["question"], answer=["answer"]),
        domain="math",
        licence="none",
        sample=sample,
    )
    started = time.perf_counter(), time.process_time()
    intake = take_in(Lake.at(str(folder / "lake")), SeedsConfiguration(sources=[source], folder=folder), "many")
    report("sampled", intake.rows, *started)
    print(f"{intake.added:,} new seeds in {len(intake.new_shards)} shards, {intake.rejected:,} set aside")


def read_plainly(folder: Path) -> None:
    """Parse every line, and say what it cost."""
    started = time.perf_counter(), time.process_time()
    rows = 0
    with (folder / "many.jsonl").open(encoding="utf-8") as file:
        for line in file:
            rows += 1
            with contextlib.suppress(ValueError):
                json.loads(line)
    report("read plainly", rows, *started)


def report(what: str, rows: int, clock: float, cpu: float) -> None:
    """What was done since then, in this process."""
    seconds, busy = time.perf_counter() - clock, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what}: {rows:,} rows in {seconds:.1f} s ({rows / seconds:,.0f} rows/s), {busy:.1f} s of CPU "
        f"({rows / busy:,.0f} rows/s); peak {peak:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=9_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        if arguments.plain:
            read_plainly(arguments.folder)
        else:
            read(arguments.folder, arguments.sample)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "many.jsonl", arguments.rows)
        for side in ("--plain", f"--sample={arguments.sample}"):
            subprocess.run([sys.executable, "-m", "benchmarks.seed_sampling", side, "--folder", folder], check=True)


if __name__ == "__main__":
    main()
