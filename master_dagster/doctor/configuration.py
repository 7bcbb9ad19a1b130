"""Checks of settings, configuration files, seeds, keys and secrets."""

import os
import subprocess
from collections.abc import Iterator
from itertools import islice

from dotenv import dotenv_values

from assets.seeds.inspection import read_content
from assets.seeds.reading import read_rows
from assets.seeds.rows import SeedsError
from master_dagster.doctor.findings import Finding, SetUp
from master_dagster.settings_folder import ENCODING
from resources.chat.profile import read_key
from resources.configuration import ConfigurationError

SEED_ROWS = 100  # of each source, that are read


def check_settings(set_up: SetUp) -> Iterator[Finding]:
    """Whether the settings are valid, and which variables of the shell replace those of `.env`."""
    dot_env = set_up.folder / ".env"
    if set_up.settings_error:
        yield Finding("settings", "fault", set_up.settings_error)
    elif dot_env.is_file():
        yield Finding("settings", "ok", str(dot_env))
    else:
        yield Finding(
            "settings",
            "warning",
            f"there is no .env in {set_up.folder} or above: the defaults are used",
            "master-dagster init my-project --from FILE makes a project of your own",
        )
    written = dotenv_values(dot_env, encoding=ENCODING) if dot_env.is_file() else {}
    replaced = sorted(name for name, value in written.items() if value is not None and os.environ.get(name) != value)
    if replaced:
        names = ", ".join(replaced)
        yield Finding(
            "settings", "warning", f"{names}: set in the shell to another value than in .env; the shell's is used"
        )


def check_configuration(set_up: SetUp) -> Iterator[Finding]:
    """Whether every configuration file is valid."""
    if set_up.deployment_error:
        yield Finding("files", "fault", set_up.deployment_error)
    elif set_up.deployment:
        settings = set_up.deployment.settings
        yield Finding("files", "ok", f"seeds {settings.seeds}, profile {settings.profile}, and all others are valid")


def check_seeds(set_up: SetUp, *, calls: bool = True) -> Iterator[Finding]:
    """Whether the first rows of each source can be read and have a question and an answer."""
    if set_up.seeds is None or set_up.settings is None:
        return
    limit = set_up.seeds.max_rejected_share
    for source in set_up.seeds.sources:
        if not calls and source.files is None:
            yield Finding("seeds", "skipped", f"{source.name}: is not read with --no-calls")
            continue
        try:
            rows = list(islice(read_rows(source, set_up.seeds, set_up.settings.s3), SEED_ROWS))
        except SeedsError as error:
            yield Finding("seeds", "fault", f"{source.name}: {error}")
            continue
        content = read_content(rows, source, set_up.seeds)
        if not content.pairs or content.rejected_share > limit:
            first = f"; the first: {content.rejected[0].detail}" if content.rejected else ""
            found = f"{source.name}: {len(content.rejected)} of the first {len(rows)} rows cannot be used{first}"
            yield Finding("seeds", "fault" if not content.pairs else "warning", found)
        else:
            yield Finding("seeds", "ok", f"{source.name}: questions and answers in the first {len(content.pairs)} rows")


def check_keys(set_up: SetUp) -> Iterator[Finding]:
    """Whether the key of every endpoint is set and can be sent. Its value is in no message."""
    if set_up.profile is None:
        return
    for name, endpoint in set_up.profile.endpoints.items():
        variable = endpoint.api_key_env
        if not variable:
            continue
        try:
            key = read_key(name, endpoint)
        except ConfigurationError as error:
            yield Finding("keys", "fault", str(error))
            continue
        if os.environ[variable] != key:
            found = f"{variable} of endpoint {name!r} has white space around it, which is left out"
            yield Finding("keys", "warning", found, "remove it")
        else:
            yield Finding("keys", "ok", f"{variable} of endpoint {name!r} is set")


def check_secrets(set_up: SetUp) -> Iterator[Finding]:
    """Whether git ignores `.env`, which may hold keys."""
    if not (set_up.folder / ".env").is_file():
        return

    def git(*arguments: str) -> int:
        done = subprocess.run(["git", "-C", str(set_up.folder), *arguments], capture_output=True, check=False)
        return done.returncode

    try:
        if git("rev-parse", "--is-inside-work-tree") != 0:
            return
        if git("ls-files", "--error-unmatch", ".env") == 0:
            remedy = "git rm --cached .env, add .env to .gitignore, and replace every key that it had"
            yield Finding("secrets", "warning", ".env is committed to git", remedy)
        elif git("check-ignore", "--quiet", ".env") != 0:
            yield Finding("secrets", "warning", "git does not ignore .env", "add .env to .gitignore")
        else:
            yield Finding("secrets", "ok", "git ignores .env")
    except FileNotFoundError:  # git is not installed
        return
