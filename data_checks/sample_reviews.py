"""`sample:reviews`: short product reviews, written for this project by a seeded generator.

Words alone do not decide: a frame ("I cannot say that ...", "... than my old one") turns or keeps the
polarity of its adjectives, and both labels use the same frames and the same adjectives equally often.
Only `random.Random.random()` is drawn, the one method whose sequence Python promises to keep, so that a
seed gives the same rows on every machine and version.
"""

import re
from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import Field, ValidationError

from data_checks.problems import SourceError
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
_T = TypeVar("_T")


class SampleError(SourceError):
    """A `sample:` URI that names no sample or an option that does not exist."""


class SampleOptions(Record):
    """What may follow the question mark of `sample:reviews?...`."""

    seed: int = Field(7, description="Another seed gives other rows of the same distribution.")
    num: int = Field(2000, ge=1, le=50_000, description="Rows; a larger num keeps the first ones.")
    mislabel: float = Field(0.0, ge=0, le=1, description="Share of rows with the wrong label.")
    where: str = Field("", description="Mislabel only rows of this phenomenon; empty: all rows.")


def sample_options(uri: str) -> SampleOptions:
    """The options of `sample:reviews?seed=8&num=1000`.

    Raises:
        SampleError: another name, an unknown or repeated option, a value out of bounds; lists them all.
    """
    name, _, query = uri.removeprefix("sample:").partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    given, fields = dict(pairs), SampleOptions.model_fields
    problems = [] if name == "reviews" else [f"no sample {name!r}; there is: reviews"]
    problems += [f"option {key!r} does not exist" for key in given if key not in fields]
    if len(given) < len(pairs):
        problems.append("an option is given twice")
    if given.get("where") and given["where"] not in PHENOMENA["en"]:
        known_phenomena = ", ".join(PHENOMENA["en"])
        problems.append(f"where={given['where']!r} is none of {known_phenomena}")
    known = {key: value for key, value in given.items() if key in fields}
    try:
        options = SampleOptions.model_validate(known)
    except ValidationError as exc:
        problems += [f"{e['loc'][0]}={e['input']!r}: {e['msg']}" for e in exc.errors()]
        options = SampleOptions()
    if problems:
        allowed = ", ".join(f"{key} ({field.description})" for key, field in fields.items())
        raise SampleError(f"{uri}: {'; '.join(problems)}. Options: {allowed}")
    return options


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
    language = _weighted(rng, LANGUAGES)
    phenomenon, length = _weighted(rng, PHENOMENA[language]), _weighted(rng, LENGTHS)
    words = ENGLISH if language == "en" else CHINESE
    while True:
        product = _pick(rng, list(words.products))
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
    around = _draw(rng, words.around, NUM_SENTENCES_AROUND[length])
    place = int(rng.random() * (len(around) + 1))
    frame = _pick(rng, words.frames[phenomenon])
    templates = [*around[:place], frame.text, *around[place:]]
    slots = _verdict_slots(rng, words, product, frame, verdict)
    return words.joiner.join(_fill(rng, words, template, slots) for template in templates)


def _verdict_slots(
    rng: Random, words: Words, product: str, frame: Frame, verdict: int
) -> dict[str, str]:
    """Words whose polarity makes `frame` say `verdict`."""
    side = 0 if verdict * frame.sign > 0 else 1
    first, second = _draw(rng, words.products[product], 2)
    adjective = _pick(rng, words.aspects[first][side])
    rest = [word for word in words.aspects[second][side] if word != adjective]
    return {
        "p": product,
        "a": first,
        "b": second,
        "adj": adjective,
        "more": _comparative(adjective),
        "bdj": _pick(rng, rest),
        "opp": _pick(rng, words.aspects[second][1 - side]),
        "verb": _pick(rng, words.verbs[side]),
        "like": _pick(rng, words.likes[side]),
    }


def _fill(rng: Random, words: Words, template: str, slots: dict[str, str]) -> str:
    fillers = {name: _pick(rng, values) for name, values in words.fillers.items()}
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


def _pick(rng: Random, values: Sequence[_T]) -> _T:
    return values[int(rng.random() * len(values))]


def _draw(rng: Random, values: Sequence[_T], num: int) -> list[_T]:
    """`num` different values."""
    left = list(values)
    return [left.pop(int(rng.random() * len(left))) for _ in range(num)]


def _weighted(rng: Random, shares: dict[str, float]) -> str:
    point = rng.random() * sum(shares.values())
    for name, share in shares.items():
        point -= share
        if point < 0:
            return name
    return name
