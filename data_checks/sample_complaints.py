"""`sample:complaints`: what a review complains about, several things or none, by a seeded generator.

Every sentence about a part of the product praises or blames it, in the frames of `sample:reviews`
that may turn their words around; the labels are the topics of what is blamed. Topics are named
equally often in praise, so that which words occur does not decide.
"""

import re
from collections.abc import Iterator
from random import Random

from pydantic import Field

from data_checks.draws import draw, pick, weighted
from data_checks.sample_words import ENGLISH, Frame
from records.base import Record
from records.text import normalise

TOPICS: dict[str, tuple[str, ...]] = {
    "battery": ("battery",),
    "build": ("frame", "handle", "lid", "seam", "zip", "blade"),
    "comfort": ("cushion", "fabric", "strap", "grip"),
    "picture": ("screen", "lens", "light"),
    "software": ("app", "menu", "manual", "connection"),
    "sound": ("sound", "motor"),
}
"""Topic: the parts of products that belong to it."""
NUM_PARTS = {"1": 0.4, "2": 0.4, "3": 0.2}
"""Share of reviews by the parts that they speak of."""
BLAME = 0.5
_SLOT = re.compile(r"\{(\w+)\}")
PHENOMENA = {"plain": 0.5, "negation": 0.3, "intensifier": 0.2}
"""Share of sentences by what makes them hard."""
FRAMES: dict[str, tuple[Frame, ...]] = {
    name: tuple(
        frame
        for frame in ENGLISH.frames[name]
        if {"a", "adj"}
        <= set(_SLOT.findall(frame.text))
        <= {"a", "adj", "p", "who", "time", "very"}
    )
    for name in PHENOMENA
}
"""Phenomenon: its sentences about one part."""


class ComplaintOptions(Record):
    """What may follow the question mark of `sample:complaints?...`."""

    seed: int = Field(7, description="Another seed gives other rows of the same distribution.")
    num: int = Field(2000, ge=1, le=50_000, description="Rows; a larger num keeps the first ones.")
    mislabel: float = Field(
        0.0, ge=0, le=1, description="Share of rows with the praised topics instead."
    )


def generate(options: ComplaintOptions | None = None) -> Iterator[dict[str, object]]:
    """Rows with text, labels (a list), parts (how many are spoken of); texts distinct under `normalise`."""
    options = options or ComplaintOptions()
    rng, flips = Random(options.seed), Random(-1 - options.seed)
    seen: set[str] = set()
    for _ in range(options.num):
        text, blamed, praised = _new_review(rng, seen)
        is_flipped = flips.random() < options.mislabel  # drawn for each row: texts do not move
        labels = sorted(praised if is_flipped else blamed)
        yield {"text": text, "labels": labels, "parts": str(len(blamed) + len(praised))}


def _new_review(rng: Random, seen: set[str]) -> tuple[str, set[str], set[str]]:
    """A text that is not in `seen`, which it joins; the topics that it blames, and praises."""
    while True:
        topics = draw(rng, list(TOPICS), int(weighted(rng, NUM_PARTS)))
        product = pick(rng, list(ENGLISH.products))
        blamed = {topic for topic in topics if rng.random() < BLAME}
        sentences = [_sentence(rng, topic, product, topic in blamed) for topic in topics]
        text = ENGLISH.joiner.join(sentences)
        if normalise(text) not in seen:
            seen.add(normalise(text))
            return text, blamed, set(topics) - blamed


def _sentence(rng: Random, topic: str, product: str, is_blamed: bool) -> str:
    """One frame, with an adjective whose polarity makes it praise or blame the part."""
    part, frame = pick(rng, TOPICS[topic]), pick(rng, FRAMES[weighted(rng, PHENOMENA)])
    side = 1 if is_blamed == (frame.sign > 0) else 0
    fillers = {name: pick(rng, words) for name, words in ENGLISH.fillers.items()}
    adjective = pick(rng, ENGLISH.aspects[part][side])
    text = frame.text.format(a=part, adj=adjective, p=product, **fillers)
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return text[0].upper() + text[1:]
