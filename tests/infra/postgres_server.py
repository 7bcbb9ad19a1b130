"""A PostgreSQL server of the tests' own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam

from tests.ui_process import free_port


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server on loopback with one empty database, `dagster`, of the user `dagster`."""

    port: int
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """Where infra/dagster.aws.yaml finds it."""
        return {
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(self.port),
            "DAGSTER_PG_DB": "dagster",
            "DAGSTER_PG_USERNAME": "dagster",
            "DAGSTER_PG_PASSWORD": "unused",
        }


def find_programs() -> Path | None:
    """The newest PostgreSQL's folder of programs; Debian keeps it off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in versions), key=lambda path: float(path.parent.name), default=None)


@contextmanager
def running_postgres(programs: Path) -> Iterator[Postgres]:
    """A server with an empty data folder, ended afterwards."""
    # It refuses to run as root, and pytest's own folders are closed to other users.
    owner = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="master-postgres-") as name:
        folder = Path(name)
        if owner:
            os.chown(folder, getpwnam(owner).pw_uid, -1)
        server = Postgres(free_port(), folder / "log")

        def run(program: str, *arguments: str) -> None:
            done = subprocess.run(
                [str(programs / program), *arguments],
                user=owner,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                check=False,
            )
            assert done.returncode == 0, f"{program} failed: {server.log.read_text() if server.log.exists() else ''}"

        data = str(folder / "data")
        options = f"-p {server.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run("initdb", "-D", data, "-U", "dagster", "--auth=trust", "--encoding=UTF8", "--no-sync")
        run("pg_ctl", "start", "-D", data, "-w", "-l", str(server.log), "-o", options)
        try:
            run("createdb", "-h", "127.0.0.1", "-p", str(server.port), "-U", "dagster", "dagster")
            yield server
        finally:
            run("pg_ctl", "stop", "-D", data, "-w", "-m", "immediate")
