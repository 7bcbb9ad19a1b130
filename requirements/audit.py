"""Known vulnerabilities of the packages in requirement files: `python requirements/audit.py FILE...` (`make audit`).

pip-audit does the work. Alone it also reports success where its advisory service answers without advisories, as a
mirror of a package index does; so a package with published advisories is asked about too, and has to be found.

Exit codes: 0 no package has a known vulnerability, 1 some have (listed), 3 not audited (the reason is printed).
PIP_AUDIT_VULNERABILITY_SERVICE and pip-audit's other variables select the service.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

KNOWN, KNOWN_VERSION = "pycrypto", "2.6.1"  # abandoned, with two advisories that no version fixes
NO_HASH = "--hash=sha256:" + 64 * "0"  # compared with nothing: no package is downloaded
FOUND, NOT_AUDITED = 1, 3
OPTIONS = ("--no-deps", "--disable-pip", "--format=json", "--desc=off", "--aliases=off", "--progress-spinner=off")


def main(files: list[str]) -> int:
    """Audit requirement files, print what was found, and return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"
        known.write_text(f"{KNOWN}=={KNOWN_VERSION} {NO_HASH}\n")
        command = [sys.executable, "-m", "pip_audit", *OPTIONS]
        command += [f"--requirement={file}" for file in (*files, known)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return not_audited(f"pip-audit failed: {(done.stderr.splitlines() or ['no message'])[-1]}")
    if not any(one["name"] == KNOWN and one.get("vulns") for one in packages):
        return not_audited(f"the advisory service has no advisory about {KNOWN} {KNOWN_VERSION}, which has two")
    ours = [one for one in packages if one["name"] != KNOWN]
    lines = [
        f"{one['name']} {one['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version'}"
        for one in ours
        for found in one.get("vulns", [])
    ]
    print(*lines, sep="\n", end="\n" if lines else "")
    if skipped := [one["name"] for one in ours if "skip_reason" in one]:
        return not_audited(f"the advisory service does not know {', '.join(skipped)}")
    print(f"{len(lines)} known vulnerabilities in {len(ours)} packages.")
    return FOUND if lines else 0


def not_audited(why: str) -> int:
    """Print why there is no result; the exit code that says so."""
    print(f"Not audited: {why}. Run `make audit` where the advisory service is reachable.")
    return NOT_AUDITED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
