"""Known vulnerabilities of the packages in requirement files: `python requirements/audit.py FILE...` (`make audit`).

pip-audit does the work. Alone it also reports success where its advisory service answers without advisories, as a
mirror of a package index does; so a package with published advisories is asked about first, and has to be found.

Exit codes: 0 no package has a known vulnerability, 1 some have (listed), 3 not audited (the reason is printed).
PIP_AUDIT_VULNERABILITY_SERVICE and pip-audit's other variables select the service.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KNOWN, KNOWN_VERSION = "pycrypto", "2.6.1"  # abandoned, with two advisories that no version fixes
FOUND, NOT_AUDITED = 1, 3
OPTIONS = ("--no-deps", "--disable-pip", "--format=json", "--desc=off", "--aliases=off", "--progress-spinner=off")
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


def main(files: list[str]) -> int:
    """Audit requirement files, print what was found, and return the exit code."""
    packages = []
    try:
        if not ask([(KNOWN, KNOWN_VERSION)])[0].get("vulns"):
            return not_audited(f"the advisory service has no advisory about {KNOWN} {KNOWN_VERSION}, which has two")
        for pins in without_duplicates(files):
            packages += ask(pins)
    except ChildProcessError as error:
        return not_audited(f"pip-audit failed: {error}")
    lines = [
        f"{one['name']} {one['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version'}"
        for one in packages
        for found in one.get("vulns", [])
    ]
    print(*lines, sep="\n", end="\n" if lines else "")
    if skipped := [one["name"] for one in packages if "skip_reason" in one]:
        return not_audited(f"the advisory service does not know {', '.join(skipped)}")
    print(f"{len(lines)} known vulnerabilities in {len(packages)} packages.")
    return FOUND if lines else 0


def without_duplicates(files: list[str]) -> Iterator[list[tuple[str, str]]]:
    """All names and versions of requirement files, in lists with one version per name: pip-audit accepts no more."""
    versions: dict[str, set[str]] = {}
    for file in files:
        for name, version in PIN.findall(Path(file).read_text()):
            versions.setdefault(name, set()).add(version)
    for at in range(max((len(found) for found in versions.values()), default=0)):
        yield [(name, sorted(found)[at]) for name, found in versions.items() if at < len(found)]


def ask(pins: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What the advisory service knows about each package. Raises ChildProcessError if pip-audit could not ask."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in pins))
        command = [sys.executable, "-m", "pip_audit", *OPTIONS, f"--requirement={file}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        raise ChildProcessError((done.stderr.splitlines() or ["no message"])[-1]) from None
    return answers


def not_audited(why: str) -> int:
    """Print why there is no result; the exit code that says so."""
    print(f"Not audited: {why}. Run `make audit` where the advisory service is reachable.")
    return NOT_AUDITED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
