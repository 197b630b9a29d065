"""A copy of a store is whole, byte for byte, or refused; broken off, it is no store yet."""

from pathlib import Path

import pytest

from tasks.copies import CopyRefused, copy_store
from tasks.objects import Store, StoreUnreachable
from tasks.payload import put_folder
from tasks.store import LocalStore

LAST = "ledger/reviews/000000000001.json"


class Broken(LocalStore):
    """A store that goes away before the last payload."""

    def download(self, key: str, path: Path) -> None:
        if key.endswith("b.bin"):
            raise StoreUnreachable("gone")
        super().download(key, path)


def filled(folder: Path) -> LocalStore:
    store, payload = LocalStore(folder / "filled"), folder / "payload"
    payload.mkdir()
    for name in ("a.bin", "b.bin"):
        (payload / name).write_bytes(name.encode() * 1000)
    put_folder(store, "models/abc", payload)
    store.write(LAST, b'{"sequence": 1}')
    store.write("zzz/last of all by name", b"")
    return store


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.list()}


def test_a_store_goes_to_another_place_and_back(store: Store, tmp_path: Path) -> None:
    before = filled(tmp_path)
    back = LocalStore(tmp_path / "back")
    for source, target in ((before, store), (store, back)):
        assert copy_store(source, target, tmp_path) == len(contents(before))
    assert contents(back) == contents(store) == contents(before)
    assert not [path for path in tmp_path.iterdir() if path.is_file()], "nothing stays on the way"


def test_nothing_is_copied_over_anything_and_nothing_is_no_backup(tmp_path: Path) -> None:
    source, target = filled(tmp_path), LocalStore(tmp_path / "target")
    target.write("ledger/other/000000000001.json", b"")
    with pytest.raises(CopyRefused, match=r"target holds objects already \(ledger/other/"):
        copy_store(source, target, tmp_path)
    assert list(target.list()) == ["ledger/other/000000000001.json"]
    with pytest.raises(CopyRefused, match="nowhere holds no object"):
        copy_store(LocalStore(tmp_path / "nowhere"), LocalStore(tmp_path / "new"), tmp_path)


@pytest.mark.parametrize("prefix", ["", "team/store/"])
def test_a_copy_that_was_broken_off_has_neither_manifests_nor_ledger(
    tmp_path: Path, prefix: str
) -> None:
    source, target = Broken(tmp_path / "bucket"), LocalStore(tmp_path / "target")
    for key, data in contents(filled(tmp_path)).items():
        source.write(f"{prefix}{key}", data)
    with pytest.raises(StoreUnreachable, match="gone"):
        copy_store(source, target, tmp_path)
    assert f"{prefix}models/abc/a.bin" in target.list()
    assert [key for key in target.list() if "manifest" in key or "ledger" in key] == []
