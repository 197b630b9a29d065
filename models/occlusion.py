"""Which words of a text speak for what a model writes: each word is left out once.

A word's part is what the very same answer costs more (-log P, nats) where the word is missing. No
gradient and no attention is asked, so it holds for any model that writes; the parts need not add up,
since words can say the same twice.

Shapes: B texts in a batch, T tokens of the answer.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from models.chat import load_chatbot
from models.errors import ModelError
from models.rouge import WORD
from models.translation import load_translator
from models.translator import BATCH_SIZE
from records.attribution import Omission, Piece
from records.base import Record
from records.dialogue import turns_of, write_turns
from records.task import Task

MOST_WORDS = 60
"""Of each text that the report explains: it costs 61 scorings of one answer, and no writing."""


class Occlusion(NamedTuple):
    """An answer, and the words of what was asked."""

    asked: str
    """The text, or the last user's turn of a dialogue: what `pieces` are places of."""
    answer: str
    nats: float
    """What the answer costs when nothing is left out."""
    pieces: tuple[Piece, ...]
    """Words, with what the answer costs more without each."""


class Answerer(Protocol):
    """A model that writes, and knows what an answer costs it."""

    def answer(self, text: str) -> str:
        """What it writes."""

    def costs(self, texts: Sequence[str], answer: str) -> list[float]:
        """-log P of the answer to each text, in nats."""


class _Translator:
    def __init__(self, folder: Path) -> None:
        self._translator = load_translator(folder)

    def answer(self, text: str) -> str:
        return self._translator([text])[0]

    def costs(self, texts: Sequence[str], answer: str) -> list[float]:
        model, tokenizer = self._translator.model, self._translator.tokenizer
        target_T = torch.tensor(tokenizer(text_target=answer, truncation=True)["input_ids"])
        found: list[float] = []
        for start in range(0, len(texts), BATCH_SIZE):
            part = list(texts[start : start + BATCH_SIZE])
            batch = tokenizer(part, truncation=True, padding=True, return_tensors="pt")
            labels_BT = target_T.repeat(len(part), 1).to(model.device)
            with torch.inference_mode():
                logits_BTV = model(
                    input_ids=batch["input_ids"].to(model.device),
                    attention_mask=batch["attention_mask"].to(model.device),
                    labels=labels_BT,
                ).logits
            loss_BT = torch.nn.functional.cross_entropy(
                logits_BTV.double().transpose(1, 2), labels_BT, reduction="none"
            )
            found += loss_BT.sum(dim=1).tolist()
        return found


class _Chatbot:
    def __init__(self, folder: Path) -> None:
        self._chatbot = load_chatbot(folder)

    def answer(self, text: str) -> str:
        return self._chatbot([text])[0]

    def costs(self, texts: Sequence[str], answer: str) -> list[float]:
        return [nats for nats, _ in self._chatbot.losses(texts, [answer] * len(texts))]


ANSWERERS: dict[Task, Callable[[Path], Answerer]] = {"translation": _Translator, "chat": _Chatbot}


def load_answerer(task: Task, folder: Path) -> Answerer:
    """A saved model that writes; raises ModelError where the task has no answers."""
    if task not in ANSWERERS:
        raise ModelError(
            f"task {task} has no answer to explain; only {', '.join(ANSWERERS)} and models that give "
            "labels have"
        )
    return ANSWERERS[task](folder)


def occlude(
    model: Answerer, text: str, answer: str | None = None, most: int | None = None
) -> Occlusion:
    """The model's answer to `text`, and what each word of it does for that answer.

    Args:
        model: see `load_answerer`.
        text: what is asked, or a dialogue as `refit predict` takes it: then its last user's words.
        answer: what the model wrote; None: it is asked.
        most: how many words are left out, from the first; None: all.
    """
    turns = turns_of(text)
    last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=0)
    asked = turns[last].content
    answer = model.answer(text) if answer is None else answer
    places = [match.span() for match in WORD.finditer(asked)][:most]
    variants = [text]
    for start, end in places:
        left = turns[last]._replace(content=asked[:start] + asked[end:])
        variants.append(write_turns([*turns[:last], left, *turns[last + 1 :]]))
    whole, *without = model.costs(variants, answer)
    pieces = [
        Piece(start=start, end=end, value=cost - whole)
        for (start, end), cost in zip(places, without, strict=True)
    ]
    return Occlusion(asked, answer, whole, tuple(pieces))


class OcclusionRequest(Record):
    """Texts and what a model wrote for them, by item id."""

    model_path: str
    task: Task
    texts: dict[str, str]
    answers: dict[str, str]


class OcclusionAnswer(Record):
    """An omission for each text; it holds places, no text."""

    omissions: dict[str, Omission]


def main(arguments: Sequence[str]) -> int:
    """`python -m models.occlusion REQUEST RESULT`, in a process of its own as all scoring is."""
    request_path, result_path = map(Path, arguments)
    request = OcclusionRequest.from_json(request_path.read_bytes())
    model = load_answerer(request.task, Path(request.model_path))
    found = {
        item: occlude(model, text, request.answers[item], MOST_WORDS)
        for item, text in request.texts.items()
    }
    omissions = {i: Omission(nats=one.nats, pieces=one.pieces) for i, one in found.items()}
    result_path.write_bytes(OcclusionAnswer(omissions=omissions).to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
