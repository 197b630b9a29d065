"""softmax(Q K^T / sqrt(d) + M) V by hand, against the attention that runs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.encode import pad
from tests.theory.families import make_family

Array = np.ndarray[Any, np.dtype[np.float64]]


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result


def attention(q_HTD: Array, k_HTD: Array, v_HTD: Array, mask_TT: Array) -> tuple[Array, Array]:
    """The formula: output (H, T, D) and weights (H, T, T) of H heads; the mask is 0 or -inf."""
    scores = q_HTD @ k_HTD.transpose(0, 2, 1) / np.sqrt(q_HTD.shape[-1]) + mask_TT
    weights_HTT = softmax(scores)
    return weights_HTT @ v_HTD, weights_HTT


def heads(x_TW: Array, num_heads: int) -> Array:
    """(T, W) to (H, T, W / H)."""
    split: Array = x_TW.reshape(len(x_TW), num_heads, -1).transpose(1, 0, 2)
    return split


def array(tensor: torch.Tensor) -> Array:
    result: Array = tensor.detach().numpy()
    return result


def project(module: Any, x_TW: Array) -> Array:
    return x_TW @ array(module.weight).T + array(module.bias)


def watch_module(module: Any, seen: dict[str, Any]) -> None:
    def note(_: Any, arguments: Any, keywords: Any, result: Any) -> None:
        seen["in"] = arguments[0] if arguments else keywords["hidden_states"]
        seen["out"] = result

    module.register_forward_hook(note, with_kwargs=True)


def test_berts_attention_is_the_formula_with_padding_masked(tmp_path: Path) -> None:
    model, tokenizer = make_family("bert", tmp_path)
    seen: dict[str, Any] = {}
    layer = model.encoder.layer[1].attention.self
    watch_module(layer, seen)
    batch = pad(tokenizer, [[2, 7, 9, 8, 3], [2, 7, 3]])
    with torch.no_grad():
        model(**batch)
    for row in range(2):
        x_TW = array(seen["in"][row])
        mask_TT = np.where(batch["attention_mask"][row].numpy() == 1, 0, -np.inf)[None, :]
        q, k, v = (heads(project(m, x_TW), 2) for m in (layer.query, layer.key, layer.value))
        out_HTD, weights_HTT = attention(q, k, v, mask_TT)
        expected_TW = out_HTD.transpose(1, 0, 2).reshape(5, 16)
        np.testing.assert_allclose(array(seen["out"][0][row]), expected_TW, atol=1e-6)
        np.testing.assert_allclose(array(seen["out"][1][row]), weights_HTT, atol=1e-6)
    assert array(seen["out"][1][1])[:, :, 3:].max() == 0  # nobody looks at padding


def test_gpt2s_attention_is_the_formula_with_the_future_masked(tmp_path: Path) -> None:
    model, _ = make_family("gpt2", tmp_path)
    seen: dict[str, Any] = {}
    layer = model.h[1].attn
    watch_module(layer, seen)
    with torch.no_grad():
        model(input_ids=torch.tensor([[2, 7, 9, 8, 6]]))
    x_TW = array(seen["in"][0])
    qkv_T3W = x_TW @ array(layer.c_attn.weight) + array(layer.c_attn.bias)
    q, k, v = (heads(part, 2) for part in np.split(qkv_T3W, 3, axis=1))
    mask_TT = np.triu(np.full((5, 5), -np.inf), k=1)
    out_HTD, weights_HTT = attention(q, k, v, mask_TT)
    joined_TW = out_HTD.transpose(1, 0, 2).reshape(5, 16)
    expected_TW = joined_TW @ array(layer.c_proj.weight) + array(layer.c_proj.bias)
    np.testing.assert_allclose(array(seen["out"][0][0]), expected_TW, atol=1e-6)
    assert np.triu(weights_HTT, k=1).max() == 0


def test_without_the_root_the_weights_would_differ() -> None:
    """What the division is for: scores of width d have variance d."""
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 1, 2000, 64))
    scores = (q @ k.transpose(0, 2, 1)).ravel()
    np.testing.assert_allclose(scores.var(), 64, rtol=0.02)
    np.testing.assert_allclose((scores / np.sqrt(64)).var(), 1, rtol=0.02)
