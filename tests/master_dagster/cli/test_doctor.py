"""`master-dagster doctor`."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import move, rmtree
from types import SimpleNamespace
from typing import Any

import pytest

from assets.seeds.configuration import load_seeds_configuration
from assets.seeds.intake import take_in
from master_dagster.doctor import machine
from resources.lake.tables import Lake
from resources.model_servers.embedded.weights import require_libraries
from tests.command_line import output_of, run_command
from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest
from tests.hub_server import HubServer
from tests.s3_proxy import S3Proxy
from tests.sample_project import question

KEY = "sk-0123456789abcdef"
Output = pytest.CaptureFixture[str]


@pytest.fixture
def environment() -> Iterator[None]:
    """No settings but those of the test, which reads a `.env` into the environment."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(("MASTER_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ["COLUMNS"] = "200"
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def project(environment: None, tmp_path: Path, fake_endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project made by `init` on the fake endpoint, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("sums.jsonl").write_text("".join(json.dumps(question(number)) + "\n" for number in range(12)))
    models = ["--endpoint", fake_endpoint.base_url, "--model", "large", "--weak-model", "small"]
    models += ["--embedding-model", "vectors", "--key-variable", "OWN_KEY"]
    assert run_command("init", ".", "--from", "sums.jsonl", "--yes", *models) == 0
    os.environ["OWN_KEY"] = KEY
    return tmp_path


def diagnose(capsys: Output, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON of `doctor`."""
    capsys.readouterr()
    code = run_command("doctor", "--json", *options)
    shown = output_of(capsys)
    assert KEY not in shown
    return code, json.loads(shown)


def replace_in(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def test_a_new_project_is_ready(project: Path, capsys: Output, fake_endpoint: FakeEndpoint) -> None:
    code, result = diagnose(capsys)
    assert (code, result["ready"]) == (0, True)
    assert {finding["check"] for finding in result["findings"]} == {
        "settings", "files", "seeds", "keys", "lake", "instance", "disk", "extras", "models", "embedder",
    }  # fmt: skip
    assert [request.model for request in fake_endpoint.requests] == ["small", "large", "vectors"]
    assert not Path("lake").exists()


def test_without_calls_no_model_is_asked(project: Path, capsys: Output, fake_endpoint: FakeEndpoint) -> None:
    assert diagnose(capsys, "--no-calls")[0] == 0
    assert fake_endpoint.requests == []


def unknown_model(request: SeenRequest) -> Answer | str:
    if request.model == "large":
        return FakeEndpoint.fails(404, "The model `large` does not exist", code="model_not_found")
    return "blue"


FAULTS: dict[str, tuple[Callable[[], Any], str, str, str]] = {
    "a misspelled setting": (
        lambda: replace_in(".env", "MASTER_PROFILE", "MASTER_PROFIL"), "settings", "fault", "do you mean MASTER_PROF",
    ),
    "a setting of the shell": (
        lambda: os.environ.update(MASTER_LAKE_ROOT="elsewhere"), "settings", "warning", "MASTER_LAKE_ROOT: set",
    ),
    "a wrong key of a file": (
        lambda: replace_in("profile.yaml", "max_concurrency", "max_concurency"), "files", "fault", "is max_concur",
    ),
    "a missing file of seeds": (
        lambda: Path("sums.jsonl").unlink(), "seeds", "fault", "there is no such file",
    ),
    "a wrong field": (
        lambda: replace_in("seeds.yaml", "answer: answer", "answer: result"), "seeds", "fault", "no 'result' in",
    ),
    "no key": (lambda: os.environ.pop("OWN_KEY"), "keys", "fault", "OWN_KEY, which is not set"),
    "quotation marks in a key": (
        lambda: os.environ.update(OWN_KEY=f'"{KEY}"'), "keys", "fault", "quotation marks",
    ),
    "white space around a key": (
        lambda: os.environ.update(OWN_KEY=f" {KEY}\n"), "keys", "warning", "white space around it",
    ),
    "an address without http": (
        lambda: replace_in("profile.yaml", "http://", ""), "files", "fault", "must start with http:// or https://",
    ),
    "a lake of a later version": (
        lambda: (Path("lake").mkdir(), Path("lake/lake.json").write_text('{"format": 99}')), "lake", "fault", "99",
    ),
    "a lake that is a file": (lambda: Path("lake").write_text(""), "lake", "fault", "lake"),
    "no instance": (
        lambda: replace_in(".env", "DAGSTER_HOME=", "# DAGSTER_HOME="), "instance", "fault", "is not set",
    ),
    "an instance by a relative path": (
        lambda: replace_in(".env", f'"{Path.cwd()}/.dagster', '".dagster'), "instance", "fault", "no absolute",
    ),
    "an instance outside of the folder": (
        lambda: replace_in(".env", f"{Path.cwd()}/.dagster", str(Path(move(".dagster", "../elsewhere")).resolve())),
        "instance", "warning", "was the folder moved or copied?",
    ),
    "an instance whose folder is missing": (lambda: rmtree(".dagster"), "instance", "fault", "which is no folder"),
    "an instance without configuration": (
        lambda: Path(".dagster/dagster.yaml").unlink(), "instance", "warning", "has no dagster.yaml",
    ),
    "git does not ignore the keys": (
        lambda: (Path(".gitignore").unlink(), git("init")), "secrets", "warning", "git does not ignore .env",
    ),
    "keys in git": (lambda: (git("init"), git("add", "-f", ".env")), "secrets", "warning", "is committed"),
}  # fmt: skip


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_finding(name: str, project: Path, capsys: Output) -> None:
    spoil, check, status, message = FAULTS[name]
    spoil()
    code, result = diagnose(capsys, "--no-calls")
    found = [finding for finding in result["findings"] if finding["status"] in ("fault", "warning")]
    assert [(finding["check"], finding["status"]) for finding in found] == [(check, status)]
    assert message in found[0]["message"]
    assert code == (status == "fault")


CALLS: dict[str, tuple[Callable[[FakeEndpoint], Any], str, str]] = {
    "an unknown model": (lambda server: server.answer_with(unknown_model), "models", "unknown_model"),
    "a refused key, repeated by the server": (
        lambda server: server.answer_with(lambda _: FakeEndpoint.fails(401, f"wrong: {KEY}")), "models", "wrong_key",
    ),
    "an endpoint that is not there": (
        lambda server: replace_in("profile.yaml", server.base_url, "http://127.0.0.1:9/v1"), "models", "start it",
    ),
    "an embedder that fails": (
        lambda server: server.answer_embeddings_with(FakeEndpoint.fails(400, "no model")), "embedder", "no model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_models_that_do_not_answer(name: str, project: Path, capsys: Output, fake_endpoint: FakeEndpoint) -> None:
    spoil, check, message = CALLS[name]
    spoil(fake_endpoint)
    code, result = diagnose(capsys)
    faults = [finding for finding in result["findings"] if finding["status"] == "fault"]
    assert code == 1
    assert check in {finding["check"] for finding in faults}
    assert any(message in finding["message"] for finding in faults)


def test_a_model_without_its_key_is_not_called(project: Path, capsys: Output, fake_endpoint: FakeEndpoint) -> None:
    del os.environ["OWN_KEY"]
    code, result = diagnose(capsys)
    assert code == 1
    assert [finding["check"] for finding in result["findings"] if finding["status"] == "fault"] == ["keys"]
    assert fake_endpoint.requests == []


def test_shards_that_the_instance_does_not_know_are_registered(project: Path, capsys: Output) -> None:
    take_in(Lake.at("lake"), load_seeds_configuration("seeds.yaml"), "sums")
    for repaired in (True, False):
        code, result = diagnose(capsys, "--no-calls")
        (instance,) = [finding for finding in result["findings"] if finding["check"] == "instance"]
        assert code == 0
        assert ("1 were not registered and are now" in instance["message"]) == repaired


@pytest.mark.parametrize(("ignored", "status"), [(False, "ok"), (True, "fault")])
def test_a_lake_on_s3_needs_conditional_writes(
    ignored: bool, status: str, project: Path, s3_root: str, s3_proxy: S3Proxy, capsys: Output
) -> None:
    s3_proxy.ignores_conditions = ignored
    replace_in(".env", "MASTER_LAKE_ROOT=lake", f"MASTER_LAKE_ROOT={s3_root}")
    code, result = diagnose(capsys, "--no-calls")
    assert [finding["status"] for finding in result["findings"] if finding["check"] == "lake"] == [status]
    assert code == ignored


def test_a_full_disk(project: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**20))
    code, result = diagnose(capsys, "--no-calls")
    assert code == 1
    assert {finding["status"] for finding in result["findings"] if finding["check"] == "disk"} == {"fault"}


@pytest.mark.parametrize(("profile", "status"), [("laptop", "fault"), ("profile.yaml", "skipped")])
def test_the_embedded_model_is_a_fault_only_where_it_is_used(
    profile: str, status: str, project: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "require_libraries", lambda *names: require_libraries("no_such_library"))
    replace_in(".env", "MASTER_PROFILE=profile.yaml", f"MASTER_PROFILE={profile}")
    _, result = diagnose(capsys, "--no-calls")
    assert [one["status"] for one in result["findings"] if one["message"].startswith("local:")] == [status]


def test_findings_are_lines_with_remedies(project: Path, capsys: Output) -> None:
    rmtree(".dagster")
    assert run_command("doctor", "--no-calls") == 1
    shown = output_of(capsys)
    assert f"fault   instance   DAGSTER_HOME names {project}/.dagster, which is no folder\n" in shown
    assert f"→ mkdir -p {project}/.dagster\n" in shown
    assert "A run would fail: 1 fault." in shown


@pytest.mark.parametrize(
    ("token", "endpoint", "status", "message"),
    [
        (None, None, "fault", "HF_TOKEN is not set"),
        ("hf_only_reads", None, "fault", "can only read"),
        ("hf_writes_here", "http://127.0.0.1:9", "fault", "the connection to http://127.0.0.1:9 failed"),
        ("hf_writes_here", None, "ok", "accepts the token of ann"),
    ],
)
def test_the_hub_is_asked_where_a_repository_is_named(
    token: str | None, endpoint: str | None, status: str, message: str, project: Path, capsys: Output
) -> None:
    server = HubServer()
    os.environ["MASTER_HUB_REPOSITORY"] = "team/boost-qa"
    os.environ.pop("HF_TOKEN", None)
    os.environ |= {"HF_ENDPOINT": endpoint or server.address, **({"HF_TOKEN": token} if token else {})}
    _, result = diagnose(capsys)
    server.stop()
    (finding,) = [finding for finding in result["findings"] if finding["check"] == "hub"]
    assert (finding["status"], message in finding["message"]) == (status, True)
