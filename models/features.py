"""What goes into the last layer of a classifier.

Shapes: B rows, T tokens, F features that go into the last layer.
"""

from typing import Any

import torch

from models.depth import body_name


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
