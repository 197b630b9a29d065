"""Bases of many languages (mBART), which are told by tokens of their own what they read and write.

A base is told once, in its files: whatever loads the folder, or what was trained of it, asks alike.
"""

import json
from pathlib import Path
from typing import Any

from models.base import Base
from models.errors import UnknownBase
from records.task import TASKS, Task

MANY_LANGUAGES = ("mbart",)
TOKENIZER_CONFIG = "tokenizer_config.json"
GENERATION_CONFIG = "generation_config.json"


def must_be_told(task: Task, path: Path) -> bool:
    """Whether the task translates, and the model in `path` knows many languages."""
    known = json.loads((path / "config.json").read_text("utf-8"))
    return TASKS[task].stacks == "two" and known.get("model_type") in MANY_LANGUAGES


def language_tokens(base: Base, source: str | None, target: str | None) -> tuple[str, str]:
    """The base's own tokens of two languages (ISO 639-1, a region is ignored), e.g. en_XX.

    Raises:
        UnknownBase: one is not named, or the base has none; one error for both.
    """
    known: dict[str, str] = {}
    for token in sorted(getattr(_load(base), "lang_code_to_id", ())):
        known.setdefault(token.partition("_")[0], token)
    named = {"data.source_language": source, "data.target_language": target}
    found = [known.get(name.split("-")[0]) if name else None for name in named.values()]
    if None in found:
        wrong = [
            f"{field}={name} is none of its own" if name else f"{field} is not said"
            for (field, name), token in zip(named.items(), found, strict=True)
            if token is None
        ]
        raise UnknownBase(
            f"base.model={base.uri!r} must be told both languages: {', '.join(wrong)}; it knows "
            f"{', '.join(known) or 'none'}"
        )
    return str(found[0]), str(found[1])


def tell_languages(base: Base, source: str | None, target: str | None, out: Path) -> None:
    """Write the base once more, told which languages it translates.

    Args:
        base: of many languages.
        source, target: ISO 639-1.
        out: new folder; weights and vocabulary become links in it.

    Raises:
        UnknownBase: see `language_tokens`.
    """
    from transformers import AutoConfig, GenerationConfig

    languages = dict(
        zip(("src_lang", "tgt_lang"), language_tokens(base, source, target), strict=True)
    )
    out.mkdir()
    for file in base.path.iterdir():
        if file.name not in (TOKENIZER_CONFIG, GENERATION_CONFIG):
            (out / file.name).symlink_to(file.resolve())
    tokenizer = _load(base, **languages)
    options = {"tokenizer_class": type(tokenizer).__name__}
    if (base.path / TOKENIZER_CONFIG).is_file():
        options = json.loads((base.path / TOKENIZER_CONFIG).read_text("utf-8"))
    (out / TOKENIZER_CONFIG).write_text(json.dumps({**options, **languages}, indent=2), "utf-8")
    if (base.path / GENERATION_CONFIG).is_file():
        generation = GenerationConfig.from_pretrained(base.path)
    else:
        generation = GenerationConfig.from_model_config(AutoConfig.from_pretrained(base.path))
    target_id = tokenizer.convert_tokens_to_ids(languages["tgt_lang"])
    # The first mBART starts with the language, which ends a target; the second reads the end of
    # the text before, and is made to write the language, which begins a target.
    begins = tokenizer(text_target="a")["input_ids"][0] == target_id
    generation.update(**{"forced_bos_token_id" if begins else "decoder_start_token_id": target_id})
    generation._from_model_config = False  # or the model's configuration would have the last word
    generation.save_pretrained(out)


def _load(base: Base, **languages: str) -> Any:
    from transformers import AutoTokenizer

    from models.device import loading

    with loading(f"the tokenizer in {base.path.name!r}"):
        return AutoTokenizer.from_pretrained(base.path, trust_remote_code=False, **languages)
