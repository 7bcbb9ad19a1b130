"""A release of many dialogues, with exports and without: seconds, peak memory, beside a plain write to the same disk.

    python -m benchmarks.release --dialogues 200000
    python -m benchmarks.release --dialogues 1000000 --folder /mnt/lake

Makes up a lake of accepted partitions in shards of 9,999 seeds, then publishes it through the function that the asset
`boost_qa` calls: selection, near-duplicates, assembly, validation, all file formats, gates, card, manifest. The lake
is made in one process and each release in another, whose peak memory is read.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.boost_qa.configuration import ReleaseRules
from assets.boost_qa.forms import CONVERSATION
from assets.boost_qa.release import make_release
from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.dialogues.load_scenarios import load_scenarios
from assets.dialogues.schema import DIALOGUES
from assets.quality.configuration import JudgeRules, load_quality_rules
from assets.quality.partition_status import Expected
from assets.quality.prompts import load_prompts
from assets.quality.schema import SCORED
from assets.seeds.schema import SEEDS
from benchmarks.synthetic import speech
from resources.chat.profile import load_profile
from resources.identity import stable_hash
from resources.lake.tables import Lake

SHARD = 9_999
PROFILE = "laptop"
LIMITS = load_quality_rules("standard").limits.model_dump(mode="json")
SCENARIOS = load_scenarios()
NAMES = list(SCENARIOS)
EXPECTED = Expected(
    SCENARIOS, load_profile(PROFILE), load_prompts("standard"), JudgeRules(), "rules"
)  # of the made-up partitions
WORDS = 60  # a turn
BLOCK = 1 << 20


def make_lake(root: str, count: int) -> None:
    """Write seeds, plans, dialogues and scores of that many accepted partitions."""
    lake = Lake.at(root)
    draw = random.Random(0)
    speeches = [speech(draw, WORDS) for _ in range(5_000)]
    for start in range(0, count, SHARD):
        members = range(start, min(start + SHARD, count))
        shard = f"synthetic-{start // SHARD:04d}"
        questions = {number: f"{speech(draw, 24)} {number}?" for number in members}
        seeds = SEEDS.frame([_seed(number, shard, questions[number]) for number in members])
        lake.write(SEEDS, {"source": "synthetic", "shard": shard}, seeds, fingerprint=stable_hash(shard))
        plans = stable_hash("plans", shard)
        lake.write(DIALOGUE_PLANS, {"shard": shard}, DIALOGUE_PLANS.frame(_plans(members, shard)), fingerprint=plans)
        for scenario in SCENARIOS:
            numbers = [number for number in members if _scenario(number) == scenario]
            dialogues, judged = EXPECTED.fingerprints(plans, "", scenario)
            keys, facts = {"scenario": scenario, "shard": shard}, {"profile": PROFILE, "limits": LIMITS}
            rows = [_dialogue(number, shard, questions[number], draw.choices(speeches, k=8)) for number in numbers]
            written = lake.write(DIALOGUES, keys, DIALOGUES.frame(rows), fingerprint=dialogues, facts=facts)
            scores = SCORED.frame([_scores(number, shard) for number in numbers])
            lake.write(SCORED, keys, scores, fingerprint=judged, facts=facts, made_from=written)


def _scenario(number: int) -> str:
    return NAMES[number % len(NAMES)]


def _split(number: int) -> str:
    return {0: "validation", 1: "test"}.get(number // len(SCENARIOS) % 50, "train")


def _id(kind: str, number: int) -> str:
    return stable_hash(kind, number)


def _seed(number: int, shard: str, question: str) -> dict[str, Any]:
    return {
        "seed_id": _id("seed", number),
        "source": "synthetic",
        "shard": shard,
        "reading": 1,
        "domain": "general",
        "question": question,
        "answer": f"It is {number}.",
        "representative": _id("seed", number),
        "licence": "CC0-1.0",
        "origin_file": "synthetic.jsonl",
        "origin_row": number,
    }


def _plans(members: Iterable[int], shard: str) -> list[dict[str, Any]]:
    return [
        {
            "seed_id": _id("seed", number),
            "source": "synthetic",
            "shard": shard,
            "domain": "general",
            "representative": _id("seed", number),
            "split": _split(number),
            "scenario": _scenario(number),
            "drawn_scenario": _scenario(number),
            "repetitions": 1 if SCENARIOS[_scenario(number)].repetitions else None,
        }
        for number in members
    ]


def _of_partition(number: int, shard: str) -> dict[str, Any]:
    return {
        "dialogue_id": _id("dialogue", number),
        "scenario": _scenario(number),
        "shard": shard,
        "source": "synthetic",
        "domain": "general",
        "split": _split(number),
        "seed_id": _id("seed", number),
        "status": "complete",
        "first_answer": "unknown",
    }


def _dialogue(number: int, shard: str, question: str, said: list[str]) -> dict[str, Any]:
    scenario = SCENARIOS[_scenario(number)]
    turns = [
        {
            "speaker": turn.speaker,
            "role": "weak_student" if place else None,
            "side": scenario.side(turn.speaker),
            "text": said[place] if place else question,
            "trains": scenario.trains(turn.speaker),
            "model": "synthetic",
            "temperature": 0.6,
            "finish_reason": "stop",
            "prompt_version": "0123456789abcdef",
        }
        for place, turn in enumerate(scenario.turns(1))
    ]
    counts = {"generation": 0, "prompt_tokens": 100, "completion_tokens": 20}
    return {**_of_partition(number, shard), **counts, "turns": turns, "discarded": []}


def _scores(number: int, shard: str) -> dict[str, Any]:
    values = {
        **_of_partition(number, shard),
        "structure_ok": True,
        "final_answer": "right",
        "reference_overlap": 1.0,
        "gave_away_result": False,
        "false_claim": False,
        "betrays_reference": False,
        "copied_share": 0.0,
        "english": True,
        "repetition": 0.0,
        "words": 8 * WORDS,
        "truncated": False,
        "refused": False,
        "secrets": 0,
        "judge_status": "judged",
        "judge_correct": True,
        "judge_error_class": "none",
        "judge_findings": [],
        "flags": [],
        "judge_model": "synthetic",
        "quality_score": 0.9,
        "accepted": True,
        "rejection_reasons": [],
        "decided_by": "rules",
    }
    return {name: values[name] for name in SCORED.columns if name in values}


def release(root: str, measurements: Path, exports: bool) -> None:
    """Publish, with the exports of the form or without, and write what it took."""
    pa.set_memory_pool(pa.system_memory_pool())  # as master_dagster.definitions does
    if not exports:
        object.__setattr__(CONVERSATION, "exports", {})
    started = time.perf_counter()
    lake = Lake.at(root)
    made = make_release(lake, ReleaseRules(), EXPECTED, ())
    seconds = time.perf_counter() - started
    manifest = made.manifest
    found = {
        "rows": sum(manifest["rows"].values()),
        "bytes": sum(file["bytes"] for file in manifest["files"]),
        "seconds": seconds,
        "cpu_seconds": time.process_time(),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    measurements.write_text(json.dumps(found))


def plain_write(folder: Path, size: int) -> float:
    """Seconds that writing so many bytes to a file takes, until they are on the disk."""
    block = os.urandom(BLOCK)
    started = time.perf_counter()
    with (folder / "plain").open("wb") as file:
        for _ in range(0, size, BLOCK):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


def in_a_process_of_its_own(work: Any, *arguments: Any) -> None:
    """Run `work` in a fresh process, so that its memory is its own."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def main() -> None:
    """Print what each release took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    measured = {}
    try:
        started = time.perf_counter()
        in_a_process_of_its_own(make_lake, str(folder / "lake"), options.dialogues)
        print(f"lake written in {time.perf_counter() - started:.0f} s")
        for exports in (False, True):
            root = folder / f"lake-{exports}"
            shutil.copytree(folder / "lake", root)
            in_a_process_of_its_own(release, str(root), folder / "measurements.json", exports)
            measured[exports] = json.loads((folder / "measurements.json").read_text())
            shutil.rmtree(root)
        plain = plain_write(folder, measured[True]["bytes"])
    finally:
        shutil.rmtree(folder)
    for exports, found in measured.items():
        rate = found["rows"] / found["cpu_seconds"]
        print(
            f"{'with' if exports else 'without'} exports: {found['rows']:,} rows, {found['bytes'] / 1e6:,.0f} MB, in "
            f"{found['seconds']:.0f} s ({found['cpu_seconds']:.0f} s of CPU): {rate:,.0f} rows per second of CPU; "
            f"peak {found['peak_megabytes']:,.0f} MB"
        )
    ratios = {name: measured[True][name] / measured[False][name] for name in ("cpu_seconds", "bytes", "peak_megabytes")}
    print("with exports by without: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    print(f"a plain write of as many bytes: {plain:.1f} s, {measured[True]['bytes'] / 1e6 / plain:,.0f} MB/s")


if __name__ == "__main__":
    main()
