"""A process that evaluates, for tests that end it. Its arguments: the board's folder, the endpoint's address."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from resources.lake.tables import Lake
from tests.assets.evaluation.conftest import Board

if __name__ == "__main__":
    folder, address = Path(sys.argv[1]), sys.argv[2]
    endpoint: Any = SimpleNamespace(base_url=address)
    benchmarks = json.loads((folder / "benchmarks.json").read_text())
    Board(folder, endpoint, Lake.at(str(folder / "lake")), benchmarks=benchmarks).evaluate()
