"""Releases that are pushed to a stand-in of the hub by the real client."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assets.boost_qa.release import Release
from assets.hub_publication.configuration import HubConfiguration
from assets.hub_publication.pushing import Pushed, differences, push_release
from resources.hub import HubError, HubUnreachable
from resources.lake.store import StoreError
from tests.hub_server import HubServer
from tests.tiny_lake import TinyLake

NAME = "team/boost-qa"
HUB = HubConfiguration(repository=NAME)
DELETES = HubConfiguration(repository=NAME, delete_withdrawn=True)
NO_SEEDS = frozenset[str]()


@pytest.fixture
def release(tiny_lake: TinyLake) -> Release:
    return tiny_lake.release()


def push(tiny_lake: TinyLake, hub: HubConfiguration = HUB, retracted: frozenset[str] = NO_SEEDS) -> Pushed:
    return push_release(tiny_lake.lake, hub, retracted)


def titles(server: HubServer) -> list[str]:
    return [commit.title for commit in server.repositories["dataset", NAME].commits]


def test_a_release_is_one_commit_in_a_private_repository_with_its_id_as_tag(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    pushed = push(tiny_lake)
    repository = hub_server.repositories["dataset", NAME]
    assert repository.private
    assert titles(hub_server) == ["initial commit", f"Release {release.id}"]
    assert repository.tags == {release.id: pushed.commit}
    stored = hub_server.read("dataset", NAME)
    listed = {file["path"] for file in release.manifest["files"]}
    assert stored.keys() == listed | {"manifest.json", ".gitattributes"}
    assert all(stored[path] == tiny_lake.lake.store.get(f"{release.folder}/{path}") for path in listed - {"README.md"})
    assert differences(tiny_lake.lake, HUB) == []


def test_the_card_says_how_to_load_it_from_the_hub(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    push(tiny_lake)
    assert f'load_dataset("{NAME}", revision="{release.id}")' in hub_server.read("dataset", NAME)["README.md"].decode()


def test_a_release_is_not_pushed_twice(tiny_lake: TinyLake, release: Release, hub_server: HubServer) -> None:
    first, uploads = push(tiny_lake), list(hub_server.uploads)
    second = push(tiny_lake)
    assert (second.commit, second.added, second.deleted) == (first.commit, 0, 0)
    assert hub_server.uploads == uploads
    assert len(titles(hub_server)) == 2


@pytest.mark.s3
def test_a_release_on_s3_is_pushed(tiny_s3_lake: TinyLake, hub_server: HubServer) -> None:
    tiny_s3_lake.release()
    push(tiny_s3_lake)
    assert differences(tiny_s3_lake.lake, HUB) == []


def test_a_push_that_breaks_off_goes_on(tiny_lake: TinyLake, release: Release, hub_server: HubServer) -> None:
    hub_server.cut_uploads = 1000
    with pytest.raises(HubUnreachable, match=r"team/boost-qa: the connection to http.* failed .* run it again"):
        push(tiny_lake)
    assert titles(hub_server) == ["initial commit"]
    arrived = list(hub_server.uploads)
    assert arrived
    hub_server.cut_uploads = 0
    push(tiny_lake)
    assert len(set(hub_server.uploads)) == len(hub_server.uploads)
    assert hub_server.uploads[: len(arrived)] == arrived
    assert differences(tiny_lake.lake, HUB) == []


def test_a_push_that_ended_before_the_tag_only_adds_the_tag(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    hub_server.lost_tags = 1
    with pytest.raises(HubUnreachable):
        push(tiny_lake)
    assert hub_server.repositories["dataset", NAME].tags == {}
    assert differences(tiny_lake.lake, HUB)
    assert push(tiny_lake).added == 0
    assert hub_server.repositories["dataset", NAME].tags.keys() == {release.id}


def withdraw(tiny_lake: TinyLake, hub: HubConfiguration) -> tuple[bytes, Pushed]:
    """Push a release, retract a seed, and push the next one; returns the text of the seed's question too."""
    push(tiny_lake, hub)
    seed = tiny_lake.dialogues["capital"]
    tiny_lake.release(retracted=[seed.seed_id])
    return seed.question.encode(), push(tiny_lake, hub, frozenset({seed.seed_id}))


def test_a_retraction_withdraws_the_rows_and_leaves_the_history(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    question, pushed = withdraw(tiny_lake, HUB)
    assert not [path for path, content in hub_server.read("dataset", NAME).items() if question in content]
    assert question in hub_server.read("dataset", NAME, release.id)["jsonl/train.jsonl"]
    assert not pushed.history_deleted


def test_a_retraction_deletes_the_history_where_the_setting_asks_for_it(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    old = {file["sha256"] for file in release.manifest["files"] if file["path"].startswith("data/train-")}
    _, pushed = withdraw(tiny_lake, DELETES)
    repository = hub_server.repositories["dataset", NAME]
    assert titles(hub_server) == [f"Release {pushed.id}"]
    assert repository.tags == {pushed.id: repository.commits[-1].id}
    assert not old & hub_server.objects.keys()
    assert differences(tiny_lake.lake, DELETES) == []


def test_the_history_stays_where_no_row_was_withdrawn(tiny_lake: TinyLake, hub_server: HubServer) -> None:
    tiny_lake.release()
    push(tiny_lake, DELETES)
    tiny_lake.change("moon", accepted=True)
    tiny_lake.release()
    assert not push(tiny_lake, DELETES, frozenset({"0" * 32})).history_deleted
    assert len(titles(hub_server)) == 3


def test_files_of_the_last_release_that_the_next_one_lacks_are_deleted(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    push(tiny_lake)
    hub_server.repositories["dataset", NAME].commits[-1].files["LICENSE"] = (False, hub_server.store(b"of a person"))
    tiny_lake.remove("verbs")  # the only row of the split test
    after = {file["path"] for file in tiny_lake.release().manifest["files"]}
    gone = {file["path"] for file in release.manifest["files"]} - after
    assert push(tiny_lake).deleted == len(gone) > 0
    stored = hub_server.read("dataset", NAME)
    assert not [path for path in stored if "test" in path]
    assert "LICENSE" in stored


def test_a_release_with_rows_of_a_retracted_seed_is_not_pushed(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    retracted = frozenset({tiny_lake.dialogues["capital"].seed_id})
    with pytest.raises(HubError, match=r"has rows of 1 retracted seeds.*materialise boost_qa"):
        push(tiny_lake, retracted=retracted)
    assert hub_server.repositories == {}


def test_a_damaged_release_is_not_pushed(tiny_lake: TinyLake, release: Release, hub_server: HubServer) -> None:
    path = Path(tiny_lake.lake.store.uri(release.files("jsonl/train")[0]))
    path.write_text(path.read_text().replace("Paris", "Rome!"))
    with pytest.raises(HubError, match=r"is damaged.*restore"):
        push(tiny_lake)
    assert hub_server.repositories == {}


def test_without_a_release_there_is_nothing_to_push(tiny_lake: TinyLake, hub_server: HubServer) -> None:
    with pytest.raises(StoreError, match="materialise boost_qa"):
        push(tiny_lake)


@pytest.mark.parametrize(
    ("token", "name", "message"),
    [
        ("", NAME, "HF_TOKEN is not set; write a token with write access into .env"),
        ("hf_unknown_token", NAME, "does not accept the token in HF_TOKEN; make one with write access at http"),
        ("hf_only_reads", NAME, "the token in HF_TOKEN can only read; make one with write access at http"),
        ("hf_writes_here", "strangers/boost-qa", "strangers/boost-qa: the token in HF_TOKEN may not write there"),
    ],
)
def test_a_token_that_cannot_push_is_refused_with_what_to_do(
    token: str,
    name: str,
    message: str,
    tiny_lake: TinyLake,
    release: Release,
    hub_server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError) as refused:
        push(tiny_lake, HubConfiguration(repository=name))
    assert message in str(refused.value)
    assert not token or token not in str(refused.value)
    assert hub_server.repositories == {}


def test_a_repository_of_another_namespace_that_exists_is_refused(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    hub_server.create("dataset", "strangers/open")
    with pytest.raises(HubError, match=r"strangers/open: the token in HF_TOKEN may not write there"):
        push(tiny_lake, HubConfiguration(repository="strangers/open"))
    assert hub_server.uploads == []


@pytest.mark.parametrize(
    ("files", "commits", "found"),
    [
        ({"data.csv": b"a,b"}, 0, "it has data.csv"),
        ({"manifest.json": b'{"kind": "another"}'}, 0, "it has manifest.json"),
        ({"manifest.json": b"no json"}, 0, "it has manifest.json"),
        ({}, 1, "it has 2 commits"),
    ],
)
def test_a_repository_that_is_not_ours_is_refused_before_anything_is_uploaded(
    files: dict[str, bytes], commits: int, found: str, tiny_lake: TinyLake, release: Release, hub_server: HubServer
) -> None:
    repository = hub_server.create("dataset", NAME)
    repository.commits[-1].files |= {path: (False, hub_server.store(content)) for path, content in files.items()}
    for number in range(commits):
        repository.commit(f"by hand {number}", repository.commits[-1].files)
    before = titles(hub_server)
    with pytest.raises(HubError, match=f"was not made by this asset .{found}.*name a new or an empty repository"):
        push(tiny_lake)
    assert (titles(hub_server), hub_server.uploads, repository.tags) == (before, [], {})


def test_a_hub_that_is_unreachable_is_named(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubUnreachable, match=r"the connection to http://127.0.0.1:9 failed"):
        push(tiny_lake)


LOAD = """
import datasets, json, sys
loaded = datasets.load_dataset(sys.argv[1], revision=sys.argv[2])
print(json.dumps({split: loaded[split].num_rows for split in loaded}))
"""


def test_datasets_loads_the_pushed_release_by_its_name(
    tiny_lake: TinyLake, release: Release, hub_server: HubServer, tmp_path: Path
) -> None:
    push(tiny_lake)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, NAME, release.id],
        env={**os.environ, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == release.manifest["rows"]
