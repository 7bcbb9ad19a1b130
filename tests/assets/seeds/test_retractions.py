from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assets.seeds.retractions import load_retractions
from resources.configuration import ConfigurationError
from resources.lake.opening import open_store
from resources.lake.store import S3Options
from tests.s3_proxy import S3Proxy

if TYPE_CHECKING:
    from tests.assets.seeds.conftest import Configure

ONE, OTHER = "a" * 32, "0123456789abcdef" * 2


def test_a_list_has_one_id_per_line_and_comments(tmp_path: Path, configure: "Configure") -> None:
    assert load_retractions(configure()) == frozenset()
    (tmp_path / "off.txt").write_text(f"# asked for by its author\n{ONE}\n\n  {OTHER}  # wrong answer\n")
    assert load_retractions(configure(retractions="off.txt")) == {ONE, OTHER}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"there is no file .*off\.txt"),
        (f"{ONE[:-1]}\n{ONE}\nthe third\n".encode(), r"(?s)line 1: .*line 3: 'the third' is not a seed id"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
    ids=["missing", "wrong lines", "not text"],
)
def test_an_invalid_list_is_an_error(
    tmp_path: Path, configure: "Configure", content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "off.txt").write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        load_retractions(configure(retractions="off.txt"))


def test_a_list_on_s3_is_read_where_the_settings_say(
    s3_proxy: S3Proxy, s3_root: str, configure: "Configure", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    s3 = S3Options(endpoint_url=s3_proxy.address)
    open_store(s3_root, s3).put("off.txt", ONE.encode())
    assert load_retractions(configure(retractions=f"{s3_root}/off.txt"), s3) == {ONE}


def test_a_list_on_s3_without_permission_is_an_error(s3_proxy: S3Proxy, s3_root: str, configure: "Configure") -> None:
    s3_proxy.refuse("HeadObject", 403, times=9)
    with pytest.raises(ConfigurationError, match=r"retractions: s3://.*off\.txt cannot be read"):
        load_retractions(configure(retractions=f"{s3_root}/off.txt"))
