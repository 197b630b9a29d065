"""Payloads: whole folders in the store, the files first and the manifest last.

Without its manifest a payload does not exist for a reader; with it, every byte is checked.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

from pydantic import JsonValue, TypeAdapter, ValidationError

from records.base import Record, canonical_json, digest_of, file_sha256
from tasks.objects import (
    TEMPORARY,
    CorruptObject,
    IncompletePayload,
    MissingObject,
    Store,
    StoreError,
    check_key,
)
from tasks.pins import pin

MANIFEST = "manifest.json"
MEND = "`refit verify` says how to mend it"


def has_folder(store: Store, prefix: str) -> bool:
    """Whether there is a complete payload, which gc will not remove from now on; see tasks/pins."""
    pin(store, prefix)
    return store.exists(f"{prefix}/{MANIFEST}")


def put_folder(
    store: Store,
    prefix: str,
    folder: Path,
    extra: Mapping[str, JsonValue] = {},
    *,
    is_pinned: bool = True,
) -> None:
    """Store every file below `folder` under `prefix`, and the manifest last.

    The manifest is `{"files": {name: {"sha256", "bytes"}}, **extra}`, with the sha256 of this
    beside it. An equal complete payload is left alone. Where `is_pinned` is False, something else keeps it from gc.

    Raises:
        StoreError: the folder is empty, a name cannot be a key, or another complete payload holds
            the prefix: payloads are immutable.
    """
    files = _stamps(prefix, folder, extra)
    manifest = encode_manifest({**extra, "files": files})
    key = f"{prefix}/{MANIFEST}"
    if is_pinned:
        pin(store, prefix)
    if not store.exists(key):
        for name in files:
            store.upload(f"{prefix}/{name}", folder / name)
        if store.put_if_absent(key, manifest):
            return
    if store.read(key) != manifest:
        raise StoreError(
            f"{store.uri}/{prefix} already holds another payload, and payloads are immutable;"
            f" choose another key, or delete its {MANIFEST} first"
        )


def put_first(store: Store, prefix: str, folder: Path, extra: Mapping[str, JsonValue] = {}) -> None:
    """`put_folder` where the key does not settle the bytes: of several writers the first one counts.

    The files lie below `prefix` in a folder named by their content, which the manifest names: no
    writer touches the files of another's manifest. Whoever comes later leaves it alone.

    Raises:
        StoreError: the folder is empty, or a name cannot be a key.
    """
    files = _stamps(prefix, folder, extra)
    own = digest_of(files)[:32]
    key = f"{prefix}/{MANIFEST}"
    pin(store, prefix)
    if not store.exists(key):
        for name in files:
            store.upload(f"{prefix}/{own}/{name}", folder / name)
        store.put_if_absent(key, encode_manifest({**extra, "folder": own, "files": files}))


def delete_folder(store: Store, prefix: str) -> None:
    """Remove a payload, the manifest first: no reader takes half of it for the whole."""
    store.delete(f"{prefix}/{MANIFEST}")
    for key in list(store.list(prefix)):
        store.delete(key)


def encode_manifest(content: Mapping[str, JsonValue]) -> bytes:
    """Canonical JSON of a manifest, its own sha256 in it."""
    return canonical_json({**content, "sha256": digest_of(content)})


def find_damage(store: Store, prefix: str, scratch: Path) -> Iterator[tuple[str, str]]:
    """Every object of a complete payload that is not what its manifest says, and what it is."""
    try:
        at, files = _listed_files(store, prefix)
    except CorruptObject as exc:
        yield f"{prefix}/{MANIFEST}", str(exc)
        return
    for name, stamp in files.items():
        key, copy = f"{at}/{name}", scratch / uuid4().hex
        folder = store.local_folder(at)
        try:
            if folder is None:
                store.download(key, copy)
            found = file_sha256(folder / name if folder else copy)
        except (MissingObject, FileNotFoundError):
            yield key, "is gone"
        else:
            if found != stamp.sha256:
                yield key, f"has sha256 {found[:12]}..., its manifest says {stamp.sha256[:12]}..."
        finally:
            copy.unlink(missing_ok=True)


def read_manifest(store: Store, prefix: str) -> dict[str, JsonValue]:
    """The manifest of a complete payload.

    Raises:
        IncompletePayload: there is none.
        CorruptObject: it is not a JSON object, or its bytes are not those of its sha256.
    """
    key = f"{prefix}/{MANIFEST}"
    try:
        data = store.read(key)
    except MissingObject as exc:
        raise IncompletePayload(
            f"{store.uri}/{prefix} has no {MANIFEST}: its writer never finished; run it again"
        ) from exc
    try:
        manifest = TypeAdapter(dict[str, JsonValue]).validate_json(data)
    except ValidationError as exc:
        raise CorruptObject(f"{store.uri}/{key} is not a JSON object; {MEND}") from exc
    manifest.pop("sha256", None)
    if encode_manifest(manifest) != data:
        raise CorruptObject(
            f"{store.uri}/{key} was changed: its bytes are not those of its sha256; {MEND}"
        )
    return manifest


def open_folder(store: Store, prefix: str, cache: Path) -> Path:
    """A local folder with every file that the manifest names, each checked against its sha256.

    A local store gives its own folder (treat it as read-only); S3 a copy in `cache`/`prefix`,
    which appears whole and is checked again on each call. Files that the manifest does not name
    are not looked at.

    Raises:
        IncompletePayload: no manifest.
        CorruptObject: naming the object whose bytes are wrong, or a manifest that names no file,
            or one outside its folder.
        MissingObject: a file that the manifest names is gone.
    """
    at, files = _listed_files(store, prefix)
    if (folder := store.local_folder(at)) is not None:
        _verify(store, at, folder, files)
        return folder
    target = cache / check_key(prefix)
    if not _is_intact(target, files):
        copy = cache / TEMPORARY / uuid4().hex
        try:
            for name in files:
                store.download(f"{at}/{name}", copy / name)
            _verify(store, at, copy, files)
            _move_folder(copy, target, files)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
    return target


class _FileStamp(Record):
    """What a manifest says of one file."""

    sha256: str
    bytes: int


def _stamps(prefix: str, folder: Path, extra: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What the manifest of a folder says of each file; raises StoreError where there can be none."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    if not names or MANIFEST in names or {"files", "folder", "sha256"} & set(extra):
        raise StoreError(
            f"{folder} cannot be stored as {prefix!r}: it must hold a file, none of them"
            f" {MANIFEST}, and the extra values no 'files', 'folder' or 'sha256'"
        )
    for name in names:
        check_key(f"{prefix}/{name}")
    return {name: _stamp(folder / name) for name in names}


def _stamp(path: Path) -> dict[str, JsonValue]:
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}


def _listed_files(store: Store, prefix: str) -> tuple[str, dict[str, _FileStamp]]:
    """Where the files of a payload lie (`prefix`, or a folder in it), and their stamps by name."""
    manifest = read_manifest(store, prefix)
    try:
        own = TypeAdapter(str).validate_python(manifest.get("folder", ""))
        at = check_key(f"{prefix}/{own}") if own else prefix
        files = TypeAdapter(dict[str, _FileStamp]).validate_python(manifest.get("files"))
        for name in files:
            check_key(name)
    except ValueError as exc:
        what = exc if isinstance(exc, StoreError) else "its 'files' are malformed"
        raise CorruptObject(f"{store.uri}/{prefix}/{MANIFEST} cannot be trusted: {what}") from exc
    if not files:
        raise CorruptObject(f"{store.uri}/{prefix}/{MANIFEST} names no file")
    return at, files


def _verify(store: Store, prefix: str, folder: Path, files: Mapping[str, _FileStamp]) -> None:
    for name, stamp in files.items():
        if not (folder / name).is_file():
            raise MissingObject(f"{store.uri}/{prefix}/{name} is gone; {MEND}")
        found = file_sha256(folder / name)
        if found != stamp.sha256:
            raise CorruptObject(
                f"{store.uri}/{prefix}/{name} has sha256 {found[:12]}..., its manifest says"
                f" {stamp.sha256[:12]}...; {MEND}"
            )


def _is_intact(folder: Path, files: Mapping[str, _FileStamp]) -> bool:
    try:
        return all(file_sha256(folder / name) == stamp.sha256 for name, stamp in files.items())
    except OSError:
        return False


def _move_folder(source: Path, target: Path, files: Mapping[str, _FileStamp]) -> None:
    """Rename; a good copy that another process placed meanwhile stays, a bad one goes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError:
        if not _is_intact(target, files):
            shutil.rmtree(target)
            source.replace(target)
