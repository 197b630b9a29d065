"""`sample:reviews`: short product reviews, written for this project by a seeded generator.

Words alone do not decide: a frame ("I cannot say that ...", "... than my old one") turns or keeps the
polarity of its adjectives, and both labels use the same frames and the same adjectives equally often.
"""

import re
from collections.abc import Iterator
from random import Random

from pydantic import Field, field_validator

from data_checks.draws import draw, pick, weighted
from data_checks.sample_words import CHINESE, ENGLISH, Frame, Words
from records.base import Record
from records.text import normalise

COLUMNS = ("text", "label", "product", "length", "language", "phenomenon")
LABELS = ("negative", "positive")
LANGUAGES = {"en": 0.92, "zh": 0.08}
PHENOMENA = {
    "en": {
        "plain": 0.46, "negation": 0.2, "contrast": 0.13,
        "comparison": 0.07, "intensifier": 0.07, "question": 0.07,
    },
    "zh": {
        "plain": 0.58, "negation": 0.16, "contrast": 0.14,
        "comparison": 0.04, "intensifier": 0.04, "question": 0.04,
    },
}  # fmt: skip
"""Share of rows by what makes them hard."""
LENGTHS = {"short": 0.4, "medium": 0.38, "long": 0.22}
NUM_SENTENCES_AROUND = {"short": 0, "medium": 1, "long": 3}
_SHORT = re.compile(
    "bland|blunt|bright|clear|dim|dull|fast|firm|fresh|harsh|loose|quiet|rich|rough|sharp|slow|smooth"
    "|soft|stale|stiff|strong|thin|tight|warm|weak"
)


class SampleOptions(Record):
    """What may follow the question mark of `sample:reviews?...`."""

    seed: int = Field(7, description="Another seed gives other rows of the same distribution.")
    num: int = Field(2000, ge=1, le=50_000, description="Rows; a larger num keeps the first ones.")
    mislabel: float = Field(0.0, ge=0, le=1, description="Share of rows with the wrong label.")
    where: str = Field("", description="Mislabel only rows of this phenomenon; empty: all rows.")

    @field_validator("where")
    @classmethod
    def _is_known(cls, where: str) -> str:
        if where and where not in PHENOMENA["en"]:
            raise ValueError(f"is none of {', '.join(PHENOMENA['en'])}")
        return where


def generate(options: SampleOptions | None = None) -> Iterator[dict[str, str]]:
    """Rows with COLUMNS, balanced by label in every pair, texts distinct under `normalise`.

    Source: written for this project; see data_checks/sample_words.py for the words.
    """
    options = options or SampleOptions()
    rng, flips = Random(options.seed), Random(-1 - options.seed)
    seen: set[str] = set()
    labels: list[str] = []
    for _ in range(options.num):
        labels = labels or list(LABELS if rng.random() < 0.5 else LABELS[::-1])
        row = _new_review(rng, labels.pop(), seen)
        is_flipped = flips.random() < options.mislabel  # drawn for each row: texts do not move
        if is_flipped and options.where in ("", row["phenomenon"]):
            row["label"] = LABELS[1 - LABELS.index(row["label"])]
        yield row


def _new_review(rng: Random, label: str, seen: set[str]) -> dict[str, str]:
    """One review with a text that is not in `seen`, which it joins."""
    language = weighted(rng, LANGUAGES)
    phenomenon, length = weighted(rng, PHENOMENA[language]), weighted(rng, LENGTHS)
    words = ENGLISH if language == "en" else CHINESE
    while True:
        product = pick(rng, list(words.products))
        text = _write(rng, words, product, phenomenon, length, 1 if label == "positive" else -1)
        if normalise(text) not in seen:
            seen.add(normalise(text))
            return dict(
                zip(COLUMNS, (text, label, product, length, language, phenomenon), strict=True)
            )


def _write(
    rng: Random, words: Words, product: str, phenomenon: str, length: str, verdict: int
) -> str:
    """The sentence with the verdict, and sentences without one around it."""
    around = draw(rng, words.around, NUM_SENTENCES_AROUND[length])
    place = int(rng.random() * (len(around) + 1))
    frame = pick(rng, words.frames[phenomenon])
    templates = [*around[:place], frame.text, *around[place:]]
    slots = _verdict_slots(rng, words, product, frame, verdict)
    return words.joiner.join(_fill(rng, words, template, slots) for template in templates)


def _verdict_slots(
    rng: Random, words: Words, product: str, frame: Frame, verdict: int
) -> dict[str, str]:
    """Words whose polarity makes `frame` say `verdict`."""
    side = 0 if verdict * frame.sign > 0 else 1
    first, second = draw(rng, words.products[product], 2)
    adjective = pick(rng, words.aspects[first][side])
    rest = [word for word in words.aspects[second][side] if word != adjective]
    return {
        "p": product,
        "a": first,
        "b": second,
        "adj": adjective,
        "more": _comparative(adjective),
        "bdj": pick(rng, rest),
        "opp": pick(rng, words.aspects[second][1 - side]),
        "verb": pick(rng, words.verbs[side]),
        "like": pick(rng, words.likes[side]),
    }


def _fill(rng: Random, words: Words, template: str, slots: dict[str, str]) -> str:
    fillers = {name: pick(rng, values) for name, values in words.fillers.items()}
    text = template.format(**slots, **fillers)
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return text[0].upper() + text[1:]


def _comparative(adjective: str) -> str:
    """`noisier`, `sharper`, `more reliable`; Chinese frames do not use it."""
    if _SHORT.fullmatch(adjective):
        double = adjective[-1] if adjective in ("dim", "thin") else ""
        return f"{adjective}{double}{'r' if adjective.endswith('e') else 'er'}"
    if adjective.endswith("y") and len(adjective) <= 7:
        return f"{adjective[:-1]}ier"
    return f"more {adjective}"
