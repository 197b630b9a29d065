"""What a classifier makes of a text before it answers: hidden states, and vectors of the whole.

Shapes: B rows, T tokens, W width, F features that go into the last layer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.depth import body_name
from models.encode import encode, pad
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
    """Last hidden states of the body (of the decoder, where there are two halves), float32."""
    mean_W: np.ndarray
    """Their mean over the tokens."""
    head_F: np.ndarray
    """What the last layer sees: the vector that the answer is a linear function of."""


def text_features(classifier: Classifier, text: str) -> TextFeatures:
    """Hidden states and pooled vectors of one text, cut as in training."""
    model, tokenizer = classifier.model, classifier.tokenizer
    ids = encode(tokenizer, [text]).input_ids[0]
    seen = HeadInput(model)
    with torch.inference_mode():
        batch = {k: v.to(model.device) for k, v in pad(tokenizer, [ids]).items()}
        outputs = model(**batch, output_hidden_states=True)
    seen.close()
    states = outputs.get("decoder_hidden_states") or outputs.get("hidden_states")
    hidden_TW = states[-1][0].float().cpu().numpy()
    return TextFeatures(
        tokens=tuple(tokenizer.convert_ids_to_tokens(ids)),
        hidden_TW=hidden_TW,
        mean_W=hidden_TW.mean(axis=0),
        head_F=seen.of_batch_BF[0].float().cpu().numpy(),
    )
