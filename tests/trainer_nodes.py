"""Two torchruns on this machine that stand for two nodes of a fine-tuning job."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.training_programs.fine_tuning.errors import DONE
from assets.training_programs.specification import Specification
from resources.training_jobs.backend import BackendJob
from tests.trainer_work import PROJECT, Workplace
from tests.ui_process import free_port

Started = Sequence["subprocess.Popen[bytes]"]


@dataclass(frozen=True)
class Nodes:
    """Runs jobs of two nodes, each with a folder of its own for temporary files and its log."""

    workplace: Workplace
    folder: Path
    program: str = "assets.training_programs.fine_tuning"

    def start(
        self,
        specification: Specification,
        attempt: int = 1,
        environments: Sequence[Mapping[str, str]] = ({}, {}),
    ) -> Started:
        """Start torchrun for each node, with further variables of its environment."""
        job = BackendJob("job", ("-m", self.program), {}, specification.recipe.processes, specification.recipe.nodes)
        port, started = free_port(), []
        for node, environment in enumerate(environments):
            scratch = self.folder / f"node-{node}"
            scratch.mkdir(exist_ok=True)
            here = {"TMPDIR": str(scratch), "CUDA_VISIBLE_DEVICES": "", **environment}
            with self._log(node).open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, *job.arguments_of_node(str(node), "127.0.0.1", port)],
                    env=self.workplace.environment(specification, attempt) | here,
                    cwd=PROJECT,
                    stdout=log,
                    stderr=log,
                )
            started.append(process)
        return started

    def wait(self, started: Started) -> list[bool]:
        """Whether each node succeeded."""
        return [process.wait() == DONE for process in started]

    def run(self, specification: Specification, attempt: int = 1) -> None:
        """Train to the end, on both nodes."""
        succeeded = self.wait(self.start(specification, attempt))
        assert all(succeeded), [self._log(node).read_text() for node in range(len(succeeded))]

    def _log(self, node: int) -> Path:
        return self.folder / f"node-{node}" / "log"
