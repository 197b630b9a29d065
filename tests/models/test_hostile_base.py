"""A base model's folder that would like to run code, or to be another model than it is."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from models.base import resolve_base
from models.config import BaseConfig
from models.encode import load_tokenizer
from models.errors import UnknownBase
from models.predict import Classifier
from tests.models.trainings import changed, make_base, train_tiny


class Trap:
    """A pickle that leaves a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.path,)


def edit(file: Path, **values: object) -> None:
    """Set fields of a JSON file."""
    found = json.loads(file.read_text("utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**found, **values}), "utf-8")


def test_a_pickle_named_safetensors_is_refused_and_never_loaded(tmp_path: Path) -> None:
    base, trap = make_base(tmp_path / "base"), tmp_path / "ran"
    (base.path / "model.safetensors").write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(UnknownBase, match="cannot be made a classifier"):
        train_tiny(base, tmp_path / "model", changed(epochs=0.1))
    with pytest.raises(UnknownBase, match="the model in 'base' cannot be loaded"):
        Classifier.load(base.path)
    assert not trap.exists()


@pytest.mark.parametrize("tokenizer_class", ["BertTokenizerFast", "TrapTokenizer"])
def test_a_tokenizer_with_code_of_its_own_never_runs_it(
    tokenizer_class: str, tmp_path: Path
) -> None:
    base, trap = make_base(tmp_path / "base"), tmp_path / "ran"
    (base.path / "trap.py").write_text(f"open({str(trap)!r}, 'w')\nraise SystemExit\n", "utf-8")
    edit(
        base.path / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["trap.TrapTokenizer", "trap.TrapTokenizer"]},
        tokenizer_class=tokenizer_class,
    )
    try:
        tokenizer = load_tokenizer(base.path)
    except UnknownBase as exc:
        assert "the tokenizer in 'base' cannot be loaded" in str(exc)  # noqa: PT017 - or it is harmless
    else:
        assert type(tokenizer).__module__.startswith("transformers.")
    assert not trap.exists()


def test_an_adapter_is_no_base_and_never_names_another_model(tmp_path: Path) -> None:
    """Where peft is there, transformers loads what an adapter's file names instead of the folder."""
    base, other = make_base(tmp_path / "base"), make_base(tmp_path / "other", seed=5)
    edit(
        base.path / "adapter_config.json",
        peft_type="LORA",
        base_model_name_or_path=str(other.path),
        target_modules=["query"],
    )
    with pytest.raises(
        UnknownBase, match=r"adapter_config\.json: an adapter, not a model; merge it"
    ):
        resolve_base(BaseConfig(model=str(base.path)))
