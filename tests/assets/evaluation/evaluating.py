"""A process that evaluates, for tests that end it. Its arguments: the board's folder, the endpoint's address."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

from assets.evaluation.configuration import load_benchmarks
from assets.evaluation.evaluate_checkpoints import CheckpointEvaluation
from assets.evaluation.runs import Evaluation, read_all_questions
from assets.framework.partition_run import Outcomes, run_partitions
from assets.training_programs.recipe import load_training
from resources.chat.profile import Profile
from resources.chat.service import ChatService, run_async
from resources.lake.tables import Lake
from resources.model_servers.tuned.configuration import Serving

if __name__ == "__main__":
    folder, address = Path(sys.argv[1]), sys.argv[2]
    lake = Lake.at(str(folder / "lake"))
    profile = Profile.model_validate(json.loads((folder / "profile.json").read_text()))
    serving = Serving.model_validate({"kind": "endpoint", "endpoint": {"base_url": address}})
    benchmarks = load_benchmarks(str(folder / "benchmarks.yaml"))
    evaluation = Evaluation(lake, ChatService(profile, lake.store), serving, benchmarks, load_training("laptop"))
    questions = read_all_questions(evaluation)
    work = CheckpointEvaluation(evaluation, questions, lambda _: nullcontext(lambda *_: None))
    run_async(run_partitions(work, Outcomes(["smollm2-135m|untuned"]), address=lake.store.uri("benchmark_scores")))
