"""Where the settings are. Apart from `settings`, which imports every stage."""

import os
import re
from pathlib import Path

from dotenv import dotenv_values

from resources.configuration import ConfigurationError

PROJECT = Path(__file__).parents[1]
SETTING = re.compile(rb"^(?:\xef\xbb\xbf)?\s*(?:export\s+)?MASTER_", re.MULTILINE)
ENCODING = "utf-8-sig"  # of `.env`: some editors begin a file with a byte order mark


def settings_folder() -> Path:
    """The folder of the project: `.env` is there, and relative paths of settings start there.

    It is the folder that MASTER_PROJECT names; else the nearest folder, from the working directory upwards, whose
    `.env` has settings; else the folder of this code where that has a `.env`; else the working directory.

    Raises:
        ConfigurationError: MASTER_PROJECT names no folder.
    """
    here = Path.cwd()
    if named := os.environ.get("MASTER_PROJECT"):
        folder = Path(named).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigurationError(f"MASTER_PROJECT: {named!r} is not a folder; name the folder that has your .env")
        return folder
    found = next((folder for folder in (here, *here.parents) if _has_settings(folder / ".env")), None)
    return found or (PROJECT if (PROJECT / ".env").is_file() else here)


def read_dot_env(folder: Path) -> dict[str, str | None]:
    """The variables of a folder's `.env`; none where there is none.

    Raises:
        ConfigurationError: it cannot be read, or is not UTF-8.
    """
    dot_env = folder / ".env"
    try:
        return dotenv_values(dot_env, encoding=ENCODING)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{dot_env} is not UTF-8: save it as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{dot_env} cannot be read: {error.strerror}") from None


def load_dot_env(folder: Path) -> None:
    """Put the variables of a folder's `.env` into the environment, where those that are set take precedence.

    Raises:
        ConfigurationError: see `read_dot_env`.
    """
    for name, value in read_dot_env(folder).items():
        if value is not None:
            os.environ.setdefault(name, value)


def _has_settings(dot_env: Path) -> bool:
    """Whether a `.env` is ours: in the folder of this code, or with settings. Other programs write such files too."""
    if dot_env.parent == PROJECT and dot_env.is_file():
        return True
    try:
        return bool(SETTING.search(dot_env.read_bytes()))
    except OSError:
        return False


def check_dagster_home() -> None:
    """Refuse to load the code location where Dagster would not record its runs in the project's instance.

    Dagster reads `.env` in the working directory only, before it loads any code.

    Raises:
        ConfigurationError: names the folder and the variable.
    """
    dot_env = settings_folder() / ".env"
    home = read_dot_env(dot_env.parent).get("DAGSTER_HOME")
    if home and "DAGSTER_HOME" not in os.environ and not dot_env.parent.samefile(Path.cwd()):
        raise ConfigurationError(
            f"Dagster does not read {dot_env} from this folder: give the command in {dot_env.parent}, or with the "
            f"environment variable DAGSTER_HOME={home}"
        )
