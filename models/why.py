"""Which parts of a text speak for an answer: integrated gradients, checked by completeness.

The score is the answer's log-odds. Its gradient is followed from a text of blanks to the text
itself, and each token gets its share; the shares add up to the difference of the two scores, and
that is checked, not believed.

Source: Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks; computed by captum.
Shapes: S steps of the path, T tokens, W width.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.encode import encode
from models.predict import Classifier, has_several
from records.attribution import Attribution, Piece
from records.base import Record

NUM_STEPS = (32, 128, 512)
"""Points of the path, at first and while the sum is off."""

RELATIVE_TOLERANCE, SMALLEST_TOLERANCE = 0.02, 0.005
"""How far the sum may be off: this share of the difference, but log-odds of 0.005 anyway."""

BATCH_SIZE = 16


@dataclass(frozen=True)
class Question:
    """One text as ids, the blank text beside it, and the label that is asked about."""

    ids_T: list[int]
    blank_T: list[int]
    label: int


def attribute(classifier: Classifier, text: str, label: str | None = None) -> Attribution:
    """What each piece of `text` adds to the log-odds of `label` (none: of the answer itself).

    Args:
        classifier: loaded model.
        text: cut where training cuts it.
        label: one of the model's labels.
    """
    model, tokenizer = classifier.model, classifier.tokenizer
    probabilities_NC, _ = classifier.probabilities([text])
    asked = classifier.labels.index(label) if label else int(probabilities_NC[0].argmax())
    encoded = encode(tokenizer, [text]).input_ids[0]
    question = Question(encoded, _blank(model, tokenizer, encoded), asked)
    values_T, score, blank_score, num_steps = _integrate(model, question)
    gap = abs(sum(values_T) - (score - blank_score))
    return Attribution(
        label=classifier.labels[asked],
        probability=float(probabilities_NC[0, asked]),
        score=score,
        blank_score=blank_score,
        pieces=_pieces(tokenizer, text, encoded, values_T),
        gap=gap,
        tolerance=_tolerance(score - blank_score),
        num_steps=num_steps,
    )


def _tolerance(difference: float) -> float:
    return max(SMALLEST_TOLERANCE, RELATIVE_TOLERANCE * abs(difference))


def _integrate(model: Any, question: Question) -> tuple[list[float], float, float, int]:
    """Shares of the tokens, score of the text, score of the blank one, points that it took."""
    from captum.attr import IntegratedGradients

    embed = model.get_input_embeddings()
    device = model.device
    with torch.no_grad():
        text_1TW, blank_1TW = (
            embed(torch.tensor([ids], device=device)) for ids in (question.ids_T, question.blank_T)
        )
    score_of = _score_function(model, question)
    with torch.no_grad():
        score, blank_score = (float(score_of(e)[0]) for e in (text_1TW, blank_1TW))
    values_T: list[float] = []
    num_steps = 0
    for num_steps in NUM_STEPS:
        shares_1TW = IntegratedGradients(score_of).attribute(
            text_1TW,
            baselines=blank_1TW,
            n_steps=num_steps,
            internal_batch_size=BATCH_SIZE,
            method="gausslegendre",
        )
        values_T = shares_1TW.sum(dim=-1)[0].tolist()
        if abs(sum(values_T) - (score - blank_score)) <= _tolerance(score - blank_score):
            break
    return values_T, score, blank_score, num_steps


def _score_function(model: Any, question: Question) -> Callable[[torch.Tensor], torch.Tensor]:
    """Log-odds (S,) of the label, of word embeddings (S, T, W) put in place of the model's own."""

    def score(embedded_STW: torch.Tensor) -> torch.Tensor:
        ids_ST = torch.tensor([question.ids_T] * len(embedded_STW), device=embedded_STW.device)
        with _embedded(model, embedded_STW):
            logits = model(input_ids=ids_ST, attention_mask=torch.ones_like(ids_ST)).logits
        others = [k for k in range(logits.shape[-1]) if k != question.label]
        logits_SC: torch.Tensor = logits.double()
        if has_several(model):
            return logits_SC[:, question.label]
        return logits_SC[:, question.label] - logits_SC[:, others].logsumexp(dim=-1)

    return score


@contextmanager
def _embedded(model: Any, embedded_STW: torch.Tensor) -> Iterator[None]:
    """Within, the model reads these embeddings whatever the ids; a decoder one place later."""

    def replace(module: Any, arguments: Any, own: torch.Tensor) -> torch.Tensor:
        if model.config.model_type == "xlnet":  # it has the tokens first
            return embedded_STW.transpose(0, 1)
        if module in shifted:
            return torch.cat([own[:, :1], embedded_STW[:, :-1]], dim=1)
        return embedded_STW

    words = _word_embeddings(model)
    shifted = [module for name, module in words if "decoder." in name]
    hooks = [module.register_forward_hook(replace) for _, module in words]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _word_embeddings(model: Any) -> list[tuple[str, nn.Embedding]]:
    """The embeddings that read token ids; an encoder-decoder has one in each half."""
    size = model.get_input_embeddings().num_embeddings
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and module.num_embeddings == size
    ]


def _blank(model: Any, tokenizer: Any, ids: Sequence[int]) -> list[int]:
    """The same text with every word blanked out; special tokens stay.

    The blank is the mask, else another special token, whose embedding is not all zero: a norm of
    nothing has no direction, and the path would begin with a jump.
    """
    table = model.get_input_embeddings().weight
    candidates = [tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id,
                  tokenizer.eos_token_id]  # fmt: skip
    known = [i for i in candidates if i is not None and i < len(table)]
    blank = next((i for i in known if table[i].abs().sum() > 0), known[-1])
    special = set(tokenizer.all_special_ids)
    return [i if i in special else blank for i in ids]


def _pieces(
    tokenizer: Any, text: str, ids: Sequence[int], values_T: Sequence[float]
) -> tuple[Piece, ...]:
    """Shares by place in the text; tokens that share a character, as bytes do, are one piece."""
    offsets = tokenizer(text, truncation=True, return_offsets_mapping=True)["offset_mapping"]
    pieces: list[Piece] = []
    for (start, end), value in zip(offsets, values_T, strict=True):
        if start == end:
            continue  # a special token
        if pieces and start < pieces[-1].end:
            start, end = pieces[-1].start, max(end, pieces[-1].end)
            value += pieces.pop().value
        pieces.append(Piece(start=start, end=end, value=value))
    return tuple(pieces)


class WhyRequest(Record):
    """Texts of one model to explain, by item id."""

    model_path: str
    texts: dict[str, str]
    labels: dict[str, str] = {}
    """The label to ask about; of other items the answer itself."""


class WhyAnswer(Record):
    """An attribution for each text; it holds places, no text."""

    attributions: dict[str, Attribution]


def main(arguments: Sequence[str]) -> int:
    """`python -m models.why REQUEST RESULT`, in a process of its own as all scoring is."""
    request_path, result_path = map(Path, arguments)
    request = WhyRequest.from_json(request_path.read_bytes())
    classifier = Classifier.load(Path(request.model_path))
    found = {
        item: attribute(classifier, text, request.labels.get(item))
        for item, text in request.texts.items()
    }
    result_path.write_bytes(WhyAnswer(attributions=found).to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
