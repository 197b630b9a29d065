"""mBART is told what it reads and writes: in training, when it is asked, and in what is saved."""

import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer, MBart50Tokenizer, MBartTokenizer

from models.base import Base, folder_digest, resolve_base
from models.config import BaseConfig
from models.errors import UnknownBase
from models.languages import must_be_told, tell_languages
from models.translation_lesson import TranslationLesson
from models.translator import Translator
from tests.models.test_translation import PAIRS, lesson_of
from tests.tiny_texts import write_many_languages_base, write_translator_base

KINDS = pytest.mark.parametrize("kind", [MBartTokenizer, MBart50Tokenizer])


def told(folder: Path, kind: type, source: str = "en", target: str = "de") -> Base:
    base = resolve_base(BaseConfig(model=str(write_many_languages_base(folder / "base", kind))))
    assert must_be_told("translation", base.path)
    tell_languages(base, source, target, folder / "told")
    return resolve_base(BaseConfig(model=str(folder / "told")))


def lesson(base: Base) -> TranslationLesson:
    return lesson_of(
        base, max_length=32, max_target_length=32, generation={"beams": 1, "max_new_tokens": 16}
    )


def tokens(known: TranslationLesson, ids: list[int]) -> list[str]:
    return list(known.tokenizer.convert_ids_to_tokens([i for i in ids if i >= 0]))


@KINDS
def test_a_training_reads_one_language_and_writes_the_other(kind: type, tmp_path: Path) -> None:
    known = lesson(told(tmp_path, kind, "en", "de-AT"))
    batch = known.collate(known.rows[:1])
    source, target, before = (
        tokens(known, batch[name][0].tolist())
        for name in ("input_ids", "labels", "decoder_input_ids")
    )
    if kind is MBartTokenizer:
        assert [t for t in source if t != "<pad>"][-2:] == ["</s>", "en_XX"]
        assert target[-2:] == ["</s>", "de_DE"]
        assert before[0] == "de_DE"
    else:
        assert (source[0], target[0]) == ("en_XX", "de_DE")
        assert before[:2] == ["</s>", "de_DE"]


@KINDS
def test_whoever_loads_it_is_answered_in_the_target_language(kind: type, tmp_path: Path) -> None:
    base = told(tmp_path, kind)
    known, saved = lesson(base), tmp_path / "saved"
    known.model.save_pretrained(saved)
    known.tokenizer.save_pretrained(saved)
    for folder in (base.path, saved):
        translator = Translator(folder, max_new_tokens=3)
        ids, german = translator.tokenizer(PAIRS.texts[0])["input_ids"], "de_DE"
        assert "en_XX" in translator.tokenizer.convert_ids_to_tokens(ids)
        asked = translator.tokenizer(PAIRS.texts[0], return_tensors="pt")
        written = translator.model.generate(**asked, max_new_tokens=3)[0]
        assert german in translator.tokenizer.convert_ids_to_tokens(written)[:2]
        assert german not in translator(PAIRS.texts[:1])[0]


def test_weights_are_links_and_the_digest_knows_the_languages(tmp_path: Path) -> None:
    base = told(tmp_path, MBart50Tokenizer)
    original = resolve_base(BaseConfig(model=str(tmp_path / "base")))
    assert (base.path / "model.safetensors").is_symlink()
    tell_languages(original, "de", "en", tmp_path / "other")
    tell_languages(original, "en", "de", tmp_path / "again")
    digests = {folder_digest(tmp_path / name) for name in ("base", "told", "other")}
    assert len(digests) == 3
    assert folder_digest(tmp_path / "again") == base.digest
    assert AutoTokenizer.from_pretrained(tmp_path / "other").src_lang == "de_DE"


@KINDS
def test_unknown_and_unsaid_languages_are_told_together(kind: type, tmp_path: Path) -> None:
    base = resolve_base(BaseConfig(model=str(write_many_languages_base(tmp_path / "base", kind))))
    with pytest.raises(UnknownBase) as failed:
        tell_languages(base, "tlh", None, tmp_path / "told")
    said = str(failed.value)
    assert "data.source_language=tlh is none of its own, data.target_language is not said" in said
    assert set(re.findall(r"\b[a-z]{2}\b", said.partition("it knows")[2])) > {"de", "en", "zh"}
    assert not (tmp_path / "told").exists()


def test_others_are_told_nothing(tmp_path: Path) -> None:
    t5 = write_translator_base(tmp_path / "t5", layers=1, width=32)
    assert not must_be_told("translation", t5)
