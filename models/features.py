"""What a model makes of a text before it answers: hidden states, and vectors of the whole.

Shapes: B rows, T tokens, W width, F features that go into the last layer.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from models.depth import body_name
from models.device import loading
from models.encode import encode, pad
from models.language_model import is_masked
from models.predict import Classifier


class HeadInput:
    """What goes into the last layer of a classifier: one vector per row, at each forward pass.

    A decoder asks its last layer at every token, and answers at the last one that is no padding.
    """

    def __init__(self, model: Any) -> None:
        self.last_layer = last_layer(model)
        self.of_batch_BF = torch.empty(0)
        self._mask_BT: torch.Tensor | None = None
        self._hooks = [
            model.register_forward_pre_hook(self._see_batch, with_kwargs=True),
            self.last_layer.register_forward_pre_hook(self._see_features),
        ]

    def close(self) -> None:
        """Look no more."""
        for hook in self._hooks:
            hook.remove()

    def _see_batch(self, module: Any, arguments: Any, batch: dict[str, Any]) -> None:
        self._mask_BT = batch.get("attention_mask")

    def _see_features(self, module: Any, arguments: tuple[torch.Tensor, ...]) -> None:
        features = arguments[0]
        if features.dim() == 3:
            assert self._mask_BT is not None
            places = torch.arange(features.shape[1], device=features.device)
            last_B = (places * self._mask_BT).argmax(dim=-1)
            features = features[torch.arange(len(features), device=features.device), last_B]
        self.of_batch_BF = features


def last_layer(model: Any) -> torch.nn.Linear:
    """The linear layer that gives the logits."""
    body = body_name(model)
    named = [(n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    return [module for name, module in named if not name.startswith(body)][-1]


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
