"""What resources do to the process that opens them."""

import subprocess
import sys

AT_EXIT = """
import duckdb
connection = duckdb.connect()
connection.sql("SELECT 1").fetchall()
from master_dagster.resources import freeze_loaded
freeze_loaded()
"""


def test_a_process_that_froze_what_it_loaded_leaves_no_objects_of_duckdb_at_its_end() -> None:
    ended = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, check=True)
    assert "nanobind" not in ended.stderr
