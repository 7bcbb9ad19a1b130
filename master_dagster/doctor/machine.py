"""Checks of the lake, Dagster's instance, the disk, and what is installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from dagster import DagsterInstance

from assets.framework.ui_metadata import counted
from assets.seeds.mirror import mirror_shards
from assets.seeds.shards import all_shards
from master_dagster.doctor.findings import Finding, SetUp
from master_dagster.new_project import FILES
from master_dagster.settings_folder import read_dot_env
from resources.lake.format import check_format
from resources.lake.store import Store, StoreError
from resources.model_servers.embedded.weights import (
    EmbeddedModelMissing,
    packaged_chat_model_file,
    packaged_sentence_weights,
    require_libraries,
)
from resources.model_servers.lease import ModelServerError
from resources.model_servers.started.commands import build_command
from resources.model_servers.started.usage import ServerUsage, read_usage, usage_name
from resources.sandbox.bubblewrap import NoSandbox
from resources.sandbox.sandbox import require_sandbox

LEAST_SPACE = 200 * 2**20  # bytes, below which a run is likely to fail
LITTLE_SPACE = 2 * 2**30
OPTIONAL = {  # module of an extra: the extra, the commands that need it
    "trl": ("train", "train"),
    "lm_eval": ("lm-eval", "benchmarks of kind lm_eval"),
}


def check_lake(set_up: SetUp) -> Iterator[Finding]:
    """Whether the lake has this version's format and can be read and written, conditionally too."""
    if set_up.settings is None:
        return
    address = set_up.settings.lake_root
    if set_up.lake is None:
        yield Finding(
            "lake", "fault", f"{address} is no lake", "set MASTER_LAKE_ROOT to a folder or s3://bucket/prefix"
        )
        return
    store = set_up.lake.store
    try:
        state = "can be read and written" if check_format(store) else "is new and can be written"
        conditional = try_writing(store)
    except StoreError as error:
        yield Finding("lake", "fault", str(error))
        return
    if conditional:
        yield Finding("lake", "ok", f"{store.root} {state}")
    else:
        yield Finding(
            "lake",
            "fault",
            f"{store.root} overwrites a file although it exists: it ignores conditional writes (If-None-Match)",
            "use S3 itself, or a store that implements them",
        )


def try_writing(store: Store) -> bool:
    """Write, read and delete a file; whether a second conditional write of it was refused. Raises StoreError."""
    path = f"_doctor/{uuid4().hex}"
    try:
        written = store.put_if_absent(path, b"first"), store.put_if_absent(path, b"second")
        return written == (True, False) and store.get(path) == b"first"
    finally:
        with suppress(OSError, StoreError):  # what failed before is the cause
            store.delete(path)
        if folder := store.local_path("_doctor"):
            with suppress(OSError):  # not empty
                folder.rmdir()
                folder.parent.rmdir()


def check_instance(set_up: SetUp) -> Iterator[Finding]:
    """Whether Dagster's instance can be opened and knows the lake's shards. Registers those that it does not know."""
    home = os.environ.get("DAGSTER_HOME", "")
    dot_env = set_up.folder / ".env"
    if not home or not Path(home).is_absolute():
        found = f"DAGSTER_HOME is {home!r}, which is no absolute path" if home else "DAGSTER_HOME is not set"
        yield Finding("instance", "fault", found, f"write DAGSTER_HOME={set_up.folder / '.dagster'} into {dot_env}")
        return
    if not Path(home).is_dir():
        yield Finding("instance", "fault", f"DAGSTER_HOME names {home}, which is no folder", f"mkdir -p {home}")
        return
    if not (Path(home) / "dagster.yaml").is_file():
        found = (
            f"{home} has no dagster.yaml: Dagster's defaults hold, and runs that call models do not wait for each other"
        )
        yield Finding("instance", "warning", found, f"cp {FILES / 'dagster.yaml'} {home}")
    written = read_dot_env(set_up.folder).get("DAGSTER_HOME")
    if written and not Path(written).is_relative_to(set_up.folder):
        found = (
            f"{dot_env} names the instance {written}, which is outside of its folder: was the folder moved or copied?"
        )
        yield Finding(
            "instance", "warning", found, f"write DAGSTER_HOME={set_up.folder / '.dagster'} if it is not meant"
        )
    with DagsterInstance.get() as instance:
        try:
            shards = all_shards(set_up.lake) if set_up.lake else []
            added = mirror_shards(set_up.lake, instance) if set_up.lake else []
        except StoreError:  # the check of the lake reports it
            return
    repaired = f"; {len(added)} were not registered and are now" if added else ""
    yield Finding("instance", "ok", f"{home} knows all shards of the lake ({len(shards)}){repaired}")


def check_disk(set_up: SetUp) -> Iterator[Finding]:
    """Whether there is space where runs write: lake, instance and temporary files."""
    places = [Path(os.environ.get("DAGSTER_HOME") or tempfile.gettempdir()), Path(tempfile.gettempdir())]
    if set_up.settings and "://" not in set_up.settings.lake_root:
        places.insert(0, Path(set_up.settings.lake_root).absolute())
    by_device: dict[int, tuple[Path, int]] = {}
    for place in places:
        existing = next((folder for folder in (place, *place.parents) if folder.exists()), Path("/"))
        by_device.setdefault(existing.stat().st_dev, (place, shutil.disk_usage(existing).free))
    for place, free in by_device.values():
        found = f"{free / 2**30:.1f} GiB free for {place}"
        if free < LITTLE_SPACE:
            yield Finding("disk", "fault" if free < LEAST_SPACE else "warning", found, "free some space")
        else:
            yield Finding("disk", "ok", found)


def check_servers(set_up: SetUp) -> Iterator[Finding]:
    """Whether the servers that the profile starts on this machine are installed, and whether it has their GPUs."""
    endpoints = set_up.profile.endpoints if set_up.profile else {}
    started = {name: endpoint for name, endpoint in endpoints.items() if endpoint.server is not None}
    gpus = visible_gpus() if started else 0
    for name, endpoint in started.items():
        assert endpoint.server is not None  # noqa: S101 - for the type checker
        shown = f"endpoint {name!r} ({endpoint.kind}, {endpoint.server.model})"
        for variable in endpoint.server.environment:
            if variable not in os.environ:
                yield Finding("servers", "warning", f"{shown}: {variable} is not set, which its server is to get")
        try:
            command = build_command(endpoint.kind, endpoint.server, None, slots=1, context_tokens=1)
        except ModelServerError as error:
            yield Finding("servers", "fault", f"{shown}: {error}")
            continue
        if endpoint.kind == "vllm" and gpus < endpoint.server.gpus:
            found = f"{shown} needs {counted(endpoint.server.gpus, 'GPU')}, and nvidia-smi shows {gpus}"
            yield Finding("servers", "fault", found, "lower server.gpus, or use a machine with more GPUs")
        elif endpoint.kind == "llama_server" and not Path(endpoint.server.model).expanduser().is_file():
            yield Finding("servers", "fault", f"{shown}: there is no such file", "correct server.model")
        else:
            used = describe_usage(read_usage(usage_name(endpoint.kind, endpoint.server)))
            seen = f"{command.arguments[0]} is there, and nvidia-smi shows {counted(gpus, 'GPU')}"
            yield Finding("servers", "ok", f"{shown}: {seen}{used}")


def describe_usage(usage: ServerUsage) -> str:
    """What a server has used on this machine so far, as the end of a sentence; "" where it never ran."""
    if not usage.starts:
        return ""
    cost = f", ${usage.cost:,.2f}" if usage.cost else ""
    return (
        f"; {counted(usage.starts, 'start')} so far, the last took {usage.startup_seconds:.0f} s; "
        f"{usage.running_seconds / 3600:.1f} hours{cost}"
    )


def visible_gpus() -> int:
    """How many GPUs `nvidia-smi` lists; 0 without it."""
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def check_extras(set_up: SetUp) -> Iterator[Finding]:
    """What is installed beside the dependencies: a fault only where the profile needs it."""
    profile = set_up.profile
    embedded = profile is not None and any(endpoint.kind == "embedded" for endpoint in profile.endpoints.values())
    embeds = profile is not None and profile.embedder.kind == "embedded"
    try:
        require_libraries("xllamacpp", "gguf", "safetensors")
        packaged_chat_model_file()
        packaged_sentence_weights()
    except EmbeddedModelMissing as error:
        needed = embedded or embeds
        yield Finding(
            "extras", "fault" if needed else "skipped", f"local: {error}" if needed else "local: not installed"
        )
    else:
        yield Finding("extras", "ok", "local: the embedded models are installed")
    for module, (extra, user) in OPTIONAL.items():
        if find_spec(module):
            yield Finding("extras", "ok", f"{extra}: installed")
        else:
            remedy = f"pip install 'master-dagster[{extra}]'"
            yield Finding("extras", "skipped", f"{extra}: not installed; only {user} needs it", remedy)
    try:
        require_sandbox()
    except NoSandbox as error:
        yield Finding("extras", "skipped", f"sandbox: {error}; only benchmarks that run code need it")
    else:
        yield Finding("extras", "ok", "sandbox: works")
