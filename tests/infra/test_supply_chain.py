"""Bills of materials, the audit, and the rule that nothing without a hash is installed or run by an installation."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

PROJECT = Path(__file__).parents[2]
FILES = sorted((PROJECT / "requirements").glob("*.txt"))
AUDIT = Path(sys.prefix) / "audit" / "bin"
PINNED = "six=={} ; python_full_version >= '3.11' \\\n    --hash=sha256:" + 64 * "0" + "\n"
ADVISORY = {"id": "TEST-1", "affected": [{"package": {"name": "six", "ecosystem": "PyPI"}, "versions": ["1.17.0"]}]}

with_its_programs = pytest.mark.skipif(not AUDIT.is_dir(), reason="`make sbom` installs what this runs")


def pinned_packages(text: str) -> dict[tuple[str, str], set[str]]:
    """The hashes of each name and version in a requirement file."""
    entries = re.split(r"\n(?=[a-z0-9])", text.replace("\\\n", " "))
    found: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        name, version = re.match(r"([\w.-]+)==([^\s;]+)", entry).groups()  # type: ignore[union-attr]
        found.setdefault((name, version), set()).update(re.findall(r"--hash=sha256:(\w+)", entry))
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_requirement_has_a_hash(file: Path) -> None:
    packages = pinned_packages(file.read_text())
    assert packages
    assert [package for package, hashes in packages.items() if not hashes] == []


def test_the_build_system_is_among_the_hashed_packages() -> None:
    required = tomllib.loads((PROJECT / "pyproject.toml").read_text())["build-system"]["requires"]
    lines = (PROJECT / "requirements" / "build.in").read_text().splitlines()
    assert set(required) <= {line.partition("#")[0].strip() for line in lines}


def test_make_installs_wheels_and_builds_with_hashed_packages_only() -> None:
    text = (PROJECT / "Makefile").read_text()
    installing = re.findall(r"^.*pip install.*$", text, re.MULTILINE)
    assert len(installing) == 2  # uv itself by pip, everything else by uv
    assert [line for line in installing if "--only-binary :all:" not in line and "$(WHEELS)" not in line] == []
    assert re.search(r"^WHEELS := --only-binary :all: .*\$\(BUILD\)$", text, re.MULTILINE)
    assert "BUILD := --build-constraints requirements/build.txt\n" in text
    assert [
        line for line in re.findall(r"^.*\(INSTALL\).*$", text, re.MULTILINE) if "--require-hashes" not in line
    ] == ["\t@$(INSTALL) --no-binary master-dagster --no-deps --editable ."]


@with_its_programs
@pytest.mark.parametrize("name", ["models", "trainer"])
def test_a_bill_of_materials_lists_every_package_with_its_hashes(name: str, tmp_path: Path) -> None:
    made = tmp_path / f"{name}.cdx.json"
    installed = f"--old-file={Path(sys.prefix).name}/.audit"
    subprocess.run(["make", "--silent", installed, f"SBOM={tmp_path}", str(made)], cwd=PROJECT, check=True)
    bill = json.loads(made.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "master-dagster"
    listed = {
        (one["name"], one["version"]): {
            hashed["content"] for reference in one["externalReferences"] for hashed in reference["hashes"]
        }
        for one in bill["components"]
    }
    assert listed == pinned_packages((PROJECT / "requirements" / f"{name}.txt").read_text())


@contextmanager
def advisory_service(advisories: dict[str, list[object]]) -> Iterator[str]:
    """The address of a server with OSV's interface that has these advisories, by package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = advisories.get(asked["package"]["name"], [])
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        server.shutdown()


def audit(folder: Path, service: str) -> tuple[int, str]:
    """The audit's exit code and what it prints, for a package that two files pin to two versions."""
    files = [folder / "new.txt", folder / "old.txt"]
    for file, version in zip(files, ("1.17.0", "1.16.0"), strict=True):
        file.write_text(PINNED.format(version))
    done = subprocess.run(
        [AUDIT / "python", PROJECT / "requirements" / "audit.py", *files],
        env=os.environ | {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": service},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


KNOWN = {"pycrypto": [ADVISORY | {"id": "TEST-0"}]}


@with_its_programs
@pytest.mark.parametrize(
    ("advisories", "code", "words"),
    [
        pytest.param(KNOWN, 0, "0 known vulnerabilities in 2 packages.", id="nothing-known"),
        pytest.param(
            KNOWN | {"six": [ADVISORY]},
            1,
            "six 1.16.0: TEST-1, fixed in no version\nsix 1.17.0: TEST-1",
            id="one-known",
        ),
        pytest.param({}, 3, "Not audited: the advisory service has no advisory about pycrypto", id="no-advisories"),
    ],
)
def test_the_audit_reports_what_the_advisory_service_knows(
    advisories: dict[str, list[object]], code: int, words: str, tmp_path: Path
) -> None:
    with advisory_service(advisories) as service:
        returned, printed = audit(tmp_path, service)
    assert returned == code
    assert printed.startswith(words)


@with_its_programs
def test_an_audit_without_its_service_is_no_clean_audit(tmp_path: Path) -> None:
    with advisory_service({}) as service:
        pass
    returned, printed = audit(tmp_path, service)
    assert returned == 3
    assert printed.startswith("Not audited: pip-audit failed:")
