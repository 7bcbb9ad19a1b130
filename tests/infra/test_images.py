"""The images' recipes: they cannot be built here, so what can be read off them is checked."""

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
IMAGES = sorted((PROJECT / "infra" / "images").glob("*.Dockerfile"))
every_image = pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem)

IMPORT_EVERYTHING = """
import importlib, pkgutil
import assets.training_programs.fine_tuning as trainer

for module in pkgutil.walk_packages(trainer.__path__, trainer.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def instructions(image: Path) -> list[tuple[str, str]]:
    """Each instruction with its arguments, continued lines joined."""
    text = re.sub(r"\\\n", " ", image.read_text())
    lines = [line.strip() for line in text.splitlines()]
    return [tuple(line.split(None, 1)) for line in lines if line and not line.startswith("#")]  # type: ignore[misc]


def arguments(image: Path, name: str) -> list[str]:
    return [rest for instruction, rest in instructions(image) if instruction == name]


def sent_to_the_builder(path: str) -> bool:
    """Whether .dockerignore lets the path through: its last line that matches decides."""
    sent = True
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (fnmatchcase(path, pattern) or path.startswith(f"{pattern}/")):
            sent = line.startswith("!")
    return sent


@every_image
def test_the_base_is_pinned_to_a_version_and_a_digest_and_names_no_registry(image: Path) -> None:
    (base,) = arguments(image, "FROM")
    repository, _, tag = base.partition(":")
    assert re.fullmatch(r"\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}", tag)
    assert "." not in repository


@every_image
def test_what_is_copied_exists_and_is_sent_to_the_builder(image: Path) -> None:
    sources = [source for line in arguments(image, "COPY") for source in line.split()[:-1]]
    assert [one for one in sources if not (PROJECT / one).exists() or not sent_to_the_builder(one)] == []


@every_image
def test_packages_are_installed_as_wheels_with_known_hashes_only(image: Path) -> None:
    installs = [part for line in arguments(image, "RUN") for part in line.split("&&") if "pip install" in part]
    assert installs
    assert [one for one in installs if "--require-hashes --only-binary :all:" not in one] == []


@every_image
def test_nobody_is_root_in_the_end(image: Path) -> None:
    assert arguments(image, "USER")[-1:] == ["1000"]


def test_the_code_location_goes_without_torch() -> None:
    assert not re.search(r"^torch==", (PROJECT / "requirements" / "aws.txt").read_text(), re.MULTILINE)


@pytest.fixture
def inside_the_trainers_image(tmp_path: Path) -> Path:
    """A folder with what the image copies, and in `packages` what of its lock file is installed here."""
    (image,) = (path for path in IMAGES if path.stem == "trainer")
    for line in arguments(image, "COPY"):
        *sources, target = line.split()
        for source in [] if target.startswith("/") else sources:
            at = tmp_path / target / (Path(source).name if target.endswith("/") else "")
            at.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (PROJECT / source).is_dir() else shutil.copy)(PROJECT / source, at)
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in re.findall(r"^([\w.-]+)==", (tmp_path / "requirements" / "trainer.txt").read_text(), re.MULTILINE):
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:  # another system's
            continue
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            link = packages / top
            if not link.is_symlink():
                link.symlink_to(str(distribution(name).locate_file(top)))
    return tmp_path


def test_the_trainer_needs_only_what_its_image_holds(inside_the_trainers_image: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", IMPORT_EVERYTHING],  # -S: none of this environment's packages
        cwd=inside_the_trainers_image,
        env={"PYTHONPATH": "packages", "PATH": os.environ["PATH"], "HOME": str(inside_the_trainers_image)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
