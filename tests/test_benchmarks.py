import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_every_benchmark_can_be_imported() -> None:
    files = sorted(path.relative_to(PROJECT).with_suffix("") for path in (PROJECT / "benchmarks").rglob("*.py"))
    names = [".".join(file.parts) for file in files]
    program = "; ".join(f"import {name}" for name in names)
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert names
    assert done.returncode == 0, done.stderr
