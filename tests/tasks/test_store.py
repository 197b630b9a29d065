"""The store's promises, on a local folder and on a real S3 server."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from botocore.awsrequest import AWSResponse
from pydantic import SecretStr, ValidationError

from deployments.local.radosgw import S3Server
from tasks import store as module
from tasks.objects import TEMPORARY, check_key
from tasks.payload import encode_manifest, put_first
from tasks.store import (
    STALE_S,
    AccessDenied,
    ConditionalWriteIgnored,
    CorruptObject,
    IncompletePayload,
    LocalStore,
    MissingBucket,
    MissingObject,
    S3Settings,
    S3Store,
    Store,
    StoreError,
    StoreUnreachable,
    open_folder,
    open_store,
    put_folder,
    read_manifest,
)
from tests.services import s3_settings

SECRET = "do-not-print-me"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    (path / "sub").mkdir(parents=True)
    (path / "model.bin").write_bytes(bytes(range(256)) * 10)
    (path / "sub" / "config.json").write_text("{}")
    return path


def test_put_if_absent_keeps_the_first_when_called_twice(store: Store) -> None:
    assert store.put_if_absent("a/b", b"first")
    assert not store.put_if_absent("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_write_replaces_when_the_key_exists(store: Store) -> None:
    store.write("a", b"old")
    store.write("a", b"new")
    assert store.read("a") == b"new"


def test_list_gives_sorted_keys_of_one_folder_only(store: Store) -> None:
    for key in ("x/2", "x/1", "x/sub/3", "xy/4", "z"):
        store.write(key, b"")
    assert list(store.list("x")) == ["x/1", "x/2", "x/sub/3"]
    assert list(store.list()) == ["x/1", "x/2", "x/sub/3", "xy/4", "z"]
    assert list(store.list("nothing")) == []


def test_delete_removes_and_is_silent_when_absent(store: Store) -> None:
    store.write("a/b", b"1")
    assert store.exists("a/b")
    assert not store.exists("a")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")


def test_read_says_which_object_is_missing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(MissingObject, match="no/such"):
        store.read("no/such")
    with pytest.raises(MissingObject, match="no/such"):
        store.download("no/such", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_upload_gives_the_same_bytes_back_when_larger_than_a_part(
    store: Store, tmp_path: Path
) -> None:
    data = os.urandom(9 * 2**20)  # boto3 splits at 8 MiB
    (tmp_path / "big").write_bytes(data)
    store.upload("big", tmp_path / "big")
    store.download("big", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == data
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["copy"]


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\0", "a\nb", "\ud800", ".tmp/a",
     "x" * 256, "/".join(["y" * 200] * 5)],
)  # fmt: skip
def test_check_key_refuses_what_could_leave_the_store(key: str) -> None:
    with pytest.raises(StoreError, match="printable parts"):
        check_key(key)


def test_probe_passes_and_leaves_nothing_behind(store: Store) -> None:
    store.probe()
    assert list(store.list()) == []


class ForgetfulStore(LocalStore):
    """The fault of servers that do not know `If-None-Match`."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.write(key, data)
        return True


def test_probe_removes_what_a_killed_writer_left_a_day_ago(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("whole", b"whole")
    old, new = (tmp_path / TEMPORARY / name for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - STALE_S - 1))
    store.probe()
    assert not old.exists()
    assert new.exists(), "somebody may be writing it"
    assert list(store.list()) == ["whole"]


def test_probe_refuses_a_store_that_ignores_the_condition(tmp_path: Path) -> None:
    store = ForgetfulStore(tmp_path)
    with pytest.raises(ConditionalWriteIgnored, match="9 of 9 conditional writes"):
        store.probe()
    assert list(store.list()) == []


def test_local_write_leaves_the_old_bytes_when_it_fails_midway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    store.write("a", b"old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StoreError, match="No space left"):
        store.write("a", b"new")
    with pytest.raises(StoreError, match="No space left"):
        store.put_if_absent("b", b"new")
    assert store.read("a") == b"old"
    assert list(store.list()) == ["a"]
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_open_store_understands_folders_file_and_s3(tmp_path: Path) -> None:
    local = LocalStore(tmp_path / "with space")
    assert open_store(local.uri) == open_store(str(local.folder)) == local
    assert open_store("s3://bucket/a/b/") == S3Store("bucket", "a/b")
    assert open_store("s3://bucket").uri == "s3://bucket"


@pytest.mark.parametrize("uri", ["gs://bucket", "s3:///prefix", "", "file://host/share"])
def test_open_store_refuses_what_it_cannot_open(uri: str) -> None:
    with pytest.raises(StoreError, match="s3://bucket/prefix"):
        open_store(uri)


def test_s3_settings_refuse_half_credentials_and_secrets_in_the_endpoint() -> None:
    with pytest.raises(ValidationError, match="set both or none"):
        S3Settings(access_key_id="a")
    with pytest.raises(ValidationError, match="without user and password") as caught:
        S3Settings(endpoint_url=f"http://me:{SECRET}@host")
    assert SECRET not in str(caught.value)
    shown = S3Settings(access_key_id="a", secret_access_key=SecretStr(SECRET))
    assert SECRET not in repr(shown) + str(shown.to_json())


# -- payloads --------------------------------------------------------------------------------------


def test_put_folder_comes_back_whole_with_its_extra_values(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    put_folder(store, "models/m", folder, {"kind": "model"})
    opened = open_folder(store, "models/m", tmp_path / "cache")
    assert (opened / "model.bin").read_bytes() == (folder / "model.bin").read_bytes()
    assert (opened / "sub" / "config.json").read_text() == "{}"
    manifest = read_manifest(store, "models/m")
    assert manifest["kind"] == "model"
    assert sorted(cast(dict[str, object], manifest["files"])) == ["model.bin", "sub/config.json"]


def test_put_folder_leaves_an_equal_one_alone_and_refuses_another(
    store: Store, folder: Path
) -> None:
    put_folder(store, "m", folder)
    put_folder(store, "m", folder)
    (folder / "model.bin").write_bytes(b"other")
    with pytest.raises(StoreError, match="already holds another payload"):
        put_folder(store, "m", folder)
    assert store.read("m/model.bin") != b"other"


def test_put_first_leaves_the_first_one_whole_whatever_the_second_is(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    put_first(store, "m", folder, {"who": "first"})
    (folder / "model.bin").write_bytes(b"other")
    put_first(store, "m", folder, {"who": "second"})
    opened = open_folder(store, "m", tmp_path / "cache")
    assert (opened / "model.bin").read_bytes() == bytes(range(256)) * 10
    assert read_manifest(store, "m")["who"] == "first"


def test_put_folder_writes_the_manifest_last(folder: Path, tmp_path: Path) -> None:
    class Torn(LocalStore):
        def upload(self, key: str, path: Path) -> None:
            if key.endswith("config.json"):
                raise StoreUnreachable("torn")
            super().upload(key, path)

    store = Torn(tmp_path / "store")
    with pytest.raises(StoreUnreachable, match="torn"):
        put_folder(store, "m", folder)
    assert store.exists("m/model.bin")
    with pytest.raises(IncompletePayload, match="has no manifest"):
        open_folder(store, "m", tmp_path / "cache")
    put_folder(LocalStore(store.folder), "m", folder)
    open_folder(store, "m", tmp_path / "cache")


def test_put_folder_refuses_an_empty_folder_and_a_foreign_manifest(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="must hold a file"):
        put_folder(store, "m", tmp_path / "empty")
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match="none of them manifest"):
        put_folder(store, "m", folder)


def test_open_folder_names_the_object_when_a_byte_was_flipped(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    put_folder(store, "m", folder)
    data = bytearray(store.read("m/model.bin"))
    data[1000] ^= 1
    store.write("m/model.bin", bytes(data))
    with pytest.raises(CorruptObject, match=r"m/model\.bin has sha256"):
        open_folder(store, "m", tmp_path / "cache")
    assert not (tmp_path / "cache" / "m").exists()


def test_open_folder_says_what_is_gone(store: Store, folder: Path, tmp_path: Path) -> None:
    put_folder(store, "m", folder)
    store.delete("m/model.bin")
    with pytest.raises(MissingObject, match=r"m/model\.bin"):
        open_folder(store, "m", tmp_path / "cache")


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "a\\..\\escaped", "sub/../escaped"])
def test_open_folder_refuses_a_manifest_that_leads_out(
    store: Store, tmp_path: Path, name: str
) -> None:
    stamp = {"sha256": "0" * 64, "bytes": 1}
    for manifest in ({"files": {name: stamp}}, {"files": {"a": stamp}, "folder": name}):
        store.write("m/manifest.json", encode_manifest(manifest))
        with pytest.raises(CorruptObject, match="cannot be trusted"):
            open_folder(store, "m", tmp_path / "cache")
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"files": {}}', b'{"files": {"a": 1}}'])
def test_open_folder_refuses_a_manifest_that_is_none(
    store: Store, tmp_path: Path, manifest: bytes
) -> None:
    store.write("m/manifest.json", manifest)
    with pytest.raises(CorruptObject, match=r"manifest\.json"):
        open_folder(store, "m", tmp_path / "cache")


@pytest.mark.service
def test_open_folder_mends_a_damaged_cache(s3_store: S3Store, folder: Path, tmp_path: Path) -> None:
    put_folder(s3_store, "m", folder)
    opened = open_folder(s3_store, "m", tmp_path / "cache")
    (opened / "model.bin").write_bytes(b"damaged")
    open_folder(s3_store, "m", tmp_path / "cache")
    assert (opened / "model.bin").read_bytes() == (folder / "model.bin").read_bytes()
    assert list((tmp_path / "cache" / ".tmp").iterdir()) == []


# -- S3: one clear error each, in bounded time, without secrets -------------------------------------


def assert_each_call_says(
    store: S3Store, error: type[StoreError], match: str, limit_s: float
) -> None:
    for call in (
        lambda: store.read("a"),
        lambda: store.put_if_absent("a", b""),
        lambda: store.exists("a"),
        lambda: list(store.list("a")),
        lambda: store.probe(),
    ):
        start = time.monotonic()
        with pytest.raises(error, match=match) as caught:
            call()
        assert time.monotonic() - start < limit_s
        assert SECRET not in str(caught.value) + str(caught.value.__cause__)
    store.close()


@pytest.mark.service
def test_s3_says_access_denied_when_the_secret_is_wrong(s3_store: S3Store) -> None:
    settings = s3_store.settings.model_copy(update={"secret_access_key": SecretStr(SECRET)})
    store = S3Store(s3_store.bucket, "", settings)
    assert_each_call_says(store, AccessDenied, "403 SignatureDoesNotMatch; check the access key", 5)


@pytest.mark.service
def test_s3_says_which_bucket_is_missing(s3_server: S3Server) -> None:
    store = S3Store(f"none-{uuid4().hex}", "", s3_settings(s3_server))
    assert_each_call_says(store, MissingBucket, "s3://none-.*create the bucket", 5)


def unreachable(port: int) -> S3Settings:
    return S3Settings(
        endpoint_url=f"http://127.0.0.1:{port}",
        access_key_id="a",
        secret_access_key=SecretStr(SECRET),
        read_timeout_s=0.2,
        num_attempts=2,
    )


def answering(statuses: list[int]) -> S3Store:
    """A store whose server answers each PUT with the next status."""

    class Body:
        def stream(self) -> Iterator[bytes]:
            yield b""

    def answer(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, statuses.pop(0), {}, Body())

    store = S3Store("bucket", "", unreachable(1))
    store._client.meta.events.register("before-send.s3.PutObject", answer)
    return store


@pytest.mark.parametrize(
    ("statuses", "is_ours"), [([409, 409, 200], True), ([409, 412], False), ([412], False)]
)
def test_put_if_absent_asks_again_when_s3_reports_a_conflict(
    statuses: list[int], is_ours: bool
) -> None:
    """409 comes beside another write or a deletion, and does not say that an object is there."""
    assert answering(statuses).put_if_absent("a", b"") == is_ours
    assert statuses == []


def test_put_if_absent_does_not_know_when_s3_reports_nothing_but_conflicts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CONFLICT_DELAYS_S", (0.0, 0.0))
    with pytest.raises(StoreUnreachable, match=r"bucket/a: .* \(409\); try again"):
        answering([409, 409]).put_if_absent("a", b"")


def test_s3_says_unreachable_when_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        store = S3Store("bucket", "", unreachable(free.getsockname()[1]))
        assert_each_call_says(store, StoreUnreachable, "does not answer .* after 2 attempts", 10)


def test_s3_says_unreachable_when_the_server_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        store = S3Store("bucket", "", unreachable(silent.getsockname()[1]))
        assert_each_call_says(store, StoreUnreachable, r"\(ReadTimeoutError\)", 10)


def test_s3_says_what_is_wrong_with_an_impossible_bucket_name() -> None:
    store = S3Store("Not A Bucket", "", unreachable(1))
    with pytest.raises(StoreError, match="Invalid bucket name"):
        store.read("a")
    store.close()


def test_a_mark_is_another_one_once_its_object_is_written_anew(store: Store) -> None:
    for key in ("rows/a", "rows/b", "other/c"):
        store.write(key, b"1")
    before = dict(store.marks("rows"))
    assert list(before) == ["rows/a", "rows/b"] == list(store.list("rows"))
    store.write("rows/b", b"2")
    after = dict(store.marks("rows"))
    assert (after["rows/a"] == before["rows/a"], after["rows/b"] == before["rows/b"]) == (
        True,
        False,
    )
    assert dict(store.marks("nothing")) == {}
    assert store.mark("rows/a") == after["rows/a"]
    assert store.mark("rows") is store.mark("nothing") is None  # a folder is no object
