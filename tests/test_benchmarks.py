import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_every_benchmark_can_be_imported() -> None:
    names = sorted(path.stem for path in (PROJECT / "benchmarks").glob("*.py"))
    program = "; ".join(f"import benchmarks.{name}" for name in names)
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert names
    assert done.returncode == 0, done.stderr
