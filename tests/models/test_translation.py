"""Translation in this room: what is learned, written and scored, on small models and real pairs."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from sacrebleu.metrics import BLEU
from transformers import MarianConfig, MarianMTModel

from models.base import Base, resolve_base
from models.config import BaseConfig, TrainConfig
from models.loss import IGNORED, token_loss
from models.scoring import ScoringRequest, score
from models.task_code import Examples
from models.translation import Code, judge_outputs, load_translator
from models.translation_lesson import TranslationLesson
from models.writer import digest_text
from records.scores import TestItems
from tests.conftest import shared_data
from tests.tiny_texts import phrases, write_translator_base

PAIRS = Examples(
    ["The dog sees a cat.", "The old woman buys nine very red lamps in the city today."],
    ["Der Hund sieht eine Katze.", "Die alte Frau kauft heute in der Stadt neun sehr rote Lampen."],
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = write_translator_base(tmp_path_factory.mktemp("base") / "base", layers=1, width=32)
    return resolve_base(BaseConfig(model=str(folder)))


def lesson_of(base: Base, **settings: object) -> TranslationLesson:
    config = TrainConfig.model_validate({"metric": "loss_per_token", "dropout": 0.0, **settings})
    return TranslationLesson(
        base=base, config=config, labels=(), training=PAIRS, validation=PAIRS
    )  # fmt: skip


def loss_of(lesson: TranslationLesson, rows: list[int], num_items: int | None = None) -> float:
    batch = lesson.collate([lesson.rows[i] for i in rows])
    labels = batch.pop("labels")
    with torch.inference_mode():
        return float(lesson.loss(lesson.model.eval()(**batch), labels, num_items))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_batches_of_a_step_add_up_to_the_loss_of_the_big_one(base: Base, smoothing: float) -> None:
    lesson = lesson_of(base, label_smoothing=smoothing)
    num_tokens = sum(len(row["target"]) for row in lesson.rows)
    whole = loss_of(lesson, [0, 1])
    assert loss_of(lesson, [0], num_tokens) + loss_of(lesson, [1], num_tokens) == pytest.approx(
        whole, abs=1e-5
    )
    mean_of_means = (loss_of(lesson, [0]) + loss_of(lesson, [1])) / 2
    assert abs(mean_of_means - whole) > 1e-3


def test_the_token_loss_is_minus_the_sum_of_log_p_by_hand() -> None:
    logits = torch.tensor([[[1.0, 2.0, 0.5], [0.1, 0.0, -1.0]]])
    labels = torch.tensor([[1, IGNORED]])
    expected = -float(torch.log_softmax(logits[0, 0].double(), dim=0)[1])
    found = float(token_loss(0.0)({"logits": logits}, labels))
    assert found == pytest.approx(expected, abs=1e-6)


def test_targets_are_shifted_by_one_behind_the_start_and_end_with_the_end(base: Base) -> None:
    lesson = lesson_of(base)
    batch = lesson.collate(lesson.rows)
    labels, inputs = batch["labels"], batch["decoder_input_ids"]
    assert inputs[0, 0] == lesson.model.config.decoder_start_token_id
    target = lesson.rows[1]["target"]
    assert labels[1, : len(target)].tolist() == target
    assert inputs[1, 1 : len(target)].tolist() == target[:-1]
    assert target[-1] == lesson.tokenizer.eos_token_id
    assert lesson.tokenizer.decode(target, skip_special_tokens=True).strip() == PAIRS.labels[1]


@pytest.mark.parametrize("row", [0, 1])
def test_lengths_are_rounded_up_to_fours_below_the_limit_and_change_no_loss(
    base: Base, row: int
) -> None:
    free, bound = lesson_of(base), lesson_of(base, max_length=13, max_target_length=18)
    for lesson, limits in ((free, (128, 128)), (bound, (13, 18))):
        batch = lesson.collate([lesson.rows[row]])
        for name, limit, side in (
            ("input_ids", limits[0], "source"),
            ("labels", limits[1], "target"),
        ):
            length, own = batch[name].shape[1], len(lesson.rows[row][side])
            assert own <= length <= limit
            assert length == limit or length % 4 == 0
            assert length < own + 4
    exact = {"labels": torch.tensor([free.rows[row]["target"]])}
    exact["input_ids"] = torch.tensor([free.rows[row]["source"]])
    with torch.inference_mode():
        expected = float(free.model.eval()(**exact).loss)
    assert loss_of(free, [row]) == pytest.approx(expected, abs=1e-5)


def test_what_is_cut_is_counted_on_both_sides(base: Base) -> None:
    lesson = lesson_of(base, max_length=12, max_target_length=16)
    assert lesson.num_truncated["train"] == 2
    assert len(lesson.rows[1]["source"]) == 12
    assert len(lesson.rows[1]["target"]) == 16
    assert lesson.rows[1]["source"][-1] == lesson.tokenizer.eos_token_id


def test_generation_settings_travel_with_the_artifact(base: Base, tmp_path: Path) -> None:
    lesson = lesson_of(base, generation={"beams": 3, "max_new_tokens": 7, "length_penalty": 0.6})
    lesson.model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "generation_config.json").read_text("utf-8"))
    assert (saved["num_beams"], saved["max_new_tokens"], saved["length_penalty"]) == (3, 7, 0.6)
    assert saved["do_sample"] is saved["early_stopping"] is False


def test_a_length_penalty_of_one_beam_says_nothing_and_is_no_error(
    base: Base, tmp_path: Path
) -> None:
    lesson = lesson_of(base, generation={"beams": 1, "length_penalty": 2.0})
    lesson.model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "generation_config.json").read_text("utf-8"))
    assert (saved["num_beams"], saved["length_penalty"]) == (1, 1.0)


def write_hub_marian(folder: Path) -> Base:
    """As the hub has them: two SentencePiece models, and a vocabulary that both share."""
    spm = pytest.importorskip("sentencepiece", reason="not installed: make install")
    texts = list(phrases())
    for side, part in (("source", texts[::2]), ("target", texts[1::2])):
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(part), model_prefix=str(folder / side), vocab_size=120,
            minloglevel=2,
        )  # fmt: skip
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
    models = [spm.SentencePieceProcessor(str(folder / f"{s}.spm")) for s in ("source", "target")]
    pieces = {m.id_to_piece(i) for m in models for i in range(m.get_piece_size())}
    special = ["</s>", "<unk>", "<pad>"]
    tokens = [*special[:2], *sorted(pieces - {"<s>", *special}), special[2]]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}), "utf-8")
    last = len(tokens) - 1
    config = MarianConfig(
        vocab_size=len(tokens), d_model=32, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64,
        decoder_ffn_dim=64, max_position_embeddings=64, pad_token_id=last, eos_token_id=0,
        decoder_start_token_id=last, forced_eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    MarianMTModel(config).save_pretrained(folder)
    names = {"source_spm": "source.spm", "target_spm": "target.spm"}
    settings = {"tokenizer_class": "MarianTokenizer", "model_max_length": 64, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return resolve_base(BaseConfig(model=str(folder)))


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")  # for what it never calls
def test_a_marian_of_the_hub_brings_its_two_tokenizers_along(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    lesson = lesson_of(write_hub_marian(tmp_path / "base"), max_length=64, max_target_length=64,
                       generation={"max_new_tokens": 8})  # fmt: skip
    source, target = (lesson.rows[1][name] for name in ("source", "target"))
    assert lesson.tokenizer.decode(source, skip_special_tokens=True) == PAIRS.texts[1]
    assert "sehr" in lesson.tokenizer.decode(target, skip_special_tokens=True)
    assert source[-1] == target[-1] == lesson.tokenizer.eos_token_id
    assert math.isfinite(loss_of(lesson, [0, 1]))
    lesson.model.save_pretrained(tmp_path / "saved")
    lesson.tokenizer.save_pretrained(tmp_path / "saved")
    assert {"source.spm", "target.spm", "vocab.json"} <= {
        path.name for path in (tmp_path / "saved").iterdir()
    }
    assert len(load_translator(tmp_path / "saved")(PAIRS.texts)) == 2


def request_of(
    folder: Path, sources: list[str], references: list[list[str]], **fields: object
) -> ScoringRequest:
    ids = tuple(f"i{k}" for k in range(len(sources)))
    frame = pd.DataFrame({"item_id": ids, "text": sources, "references": references})
    frame.sample(frac=1, random_state=0).to_parquet(folder / "test.parquet", index=False)
    values = {
        "role": "challenger", "model_path": str(folder), "model_digest": "d", "task": "translation",
        "test_path": str(folder / "test.parquet"),
        "items": TestItems(item_ids=ids, groups=ids, labels=("",) * len(ids)),
    }  # fmt: skip
    return ScoringRequest.model_validate(values | fields)


def test_a_whole_batch_written_again_is_the_same_and_the_card_holds_digests(
    base: Base, tmp_path: Path
) -> None:
    sources = [f"{text} {i}" for i in range(20) for text in PAIRS.texts]
    request = request_of(
        tmp_path, sources, [["Ein Hund."]] * 40, model_path=str(base.path),
        generation={"num_beams": 2, "max_new_tokens": 8},
        outputs_path=str(tmp_path / "outputs.parquet"),
    )  # fmt: skip
    card = score(request)
    outputs = pd.read_parquet(tmp_path / "outputs.parquet")
    assert list(outputs["item_id"]) == list(card.item_ids)
    assert [digest_text(text) for text in outputs["output"]] == list(card.predicted)
    translator = load_translator(base.path, num_beams=2, max_new_tokens=8)
    for batch, _ in translator.batches(sources):
        again = translator([sources[i] for i in batch])
        assert again == [outputs["output"][i] for i in batch]


def test_a_folder_that_is_no_translator_is_an_error_and_no_number(tmp_path: Path) -> None:
    card = score(request_of(tmp_path, ["a"], [["b"]]))
    assert card.error.startswith("the translator in")
    assert card.metrics == {}


def test_chinese_is_scored_by_characters_on_real_pairs(tmp_path: Path) -> None:
    """Each sentence against all of its translations; the answers are those of its neighbour."""
    lines = (shared_data("tatoeba_zh_en") / "cmn.txt").read_text("utf-8").splitlines()[:3000]
    pairs = [line.split("\t")[:2] for line in lines]
    by_source: dict[str, list[str]] = {}
    for source, target in pairs:
        by_source.setdefault(source, []).append(target)
    sources, references = list(by_source), list(by_source.values())
    outputs = [row[-1] for row in references[1:]] + [references[0][-1]]
    request = request_of(tmp_path, sources, references, language="zh")
    card, written = judge_outputs(request, sources, outputs)
    most = max(map(len, references))
    streams = [[row[k] if k < len(row) else None for row in references] for k in range(most)]
    expected = BLEU(tokenize="zh").corpus_score(outputs, streams)
    assert card.metrics["bleu"] == pytest.approx(expected.score / 100, abs=1e-12)
    assert "tok:zh" in Code().fingerprint(request).signatures["bleu"]
    assert "nrefs:var" in card.fingerprint.signatures["bleu"]
    assert written == outputs
    assert BLEU(tokenize="13a").corpus_score(outputs, streams).score < expected.score
