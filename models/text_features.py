"""What a model makes of a text before it answers: hidden states, and vectors of the whole.

Shapes: T tokens, W width, F features that go into the last layer of a classifier.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from models.device import loading
from models.encode import encode, pad
from models.features import HeadInput
from models.language_model import is_masked
from models.predict import Classifier


@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """A text inside the model."""

    tokens: tuple[str, ...]
    hidden_TW: np.ndarray
    """Last hidden states of the body, float32."""
    pooled: dict[str, np.ndarray]
    """Vectors of the whole text. `mean`: over the tokens. `head`: what the last layer of a classifier
    sees, which its answer is a linear function of. `first`: of the first token, which an encoder
    without such a head is commonly summed up by. `last`: of the last, which in a decoder has seen all.
    """


def text_features(classifier: Classifier, text: str) -> TextFeatures:
    """Of one text, cut as in training, in a classifier (in its decoder, where it has two halves)."""
    model, tokenizer = classifier.model, classifier.tokenizer
    ids = encode(tokenizer, [text]).input_ids[0]
    seen = HeadInput(model)
    with torch.inference_mode():
        batch = {k: v.to(model.device) for k, v in pad(tokenizer, [ids]).items()}
        outputs = model(**batch, output_hidden_states=True)
    seen.close()
    states = outputs.get("decoder_hidden_states") or outputs.get("hidden_states")
    hidden_TW = states[-1][0].float().cpu().numpy()
    head_F = seen.of_batch_BF[0].float().cpu().numpy()
    return _features(tokenizer, ids, hidden_TW, {"head": head_F})


def body_features(folder: Path, text: str) -> TextFeatures:
    """Of one text, alone and cut as in training, in a model that gives no labels (in its encoder,
    where it has two halves).

    Raises:
        UnknownBase: the folder cannot be loaded.
        ValueError: the text has no tokens.
    """
    with loading(f"the model in {folder.name!r}"):
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        body: Any = AutoModel.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    ids = encode(tokenizer, [text]).input_ids[0]
    if not ids:
        raise ValueError("a text without tokens has no features; give one with words")
    has_two = body.config.is_encoder_decoder
    with torch.inference_mode():
        reader = (body.get_encoder() if has_two else body).eval()
        hidden_TW = reader(**pad(tokenizer, [ids])).last_hidden_state[0].numpy()
    if has_two:
        return _features(tokenizer, ids, hidden_TW, {})
    whole = {"first": hidden_TW[0]} if is_masked(body.config) else {"last": hidden_TW[-1]}
    return _features(tokenizer, ids, hidden_TW, whole)


def _features(
    tokenizer: Any, ids: list[int], hidden_TW: np.ndarray, pooled: dict[str, np.ndarray]
) -> TextFeatures:
    return TextFeatures(
        tokens=tuple(tokenizer.convert_ids_to_tokens(ids)),
        hidden_TW=hidden_TW,
        pooled={"mean": hidden_TW.mean(axis=0), **pooled},
    )
