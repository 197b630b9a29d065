"""`sample:phrases`: short sentences in English, German and Chinese, written by a seeded generator.

A translator has something to learn: German genders, cases and endings, its participle and its
subordinate verb at the end, Chinese measure words and the place before the verb.
"""

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Literal, NamedTuple

from pydantic import Field

from data_checks.draws import pick, weighted
from data_checks.phrase_words import (
    ACTS,
    NAMES,
    OF_PEOPLE,
    OF_THINGS,
    PEOPLE,
    PLACES,
    THINGS,
    TIMES,
    Act,
    Person,
    Quality,
    Said,
    Thing,
)
from records.base import Record
from records.text import normalise

COLUMNS = ("source", "target", "pair", "phenomenon", "size")
PHENOMENA = {
    "plain": 0.24, "past": 0.18, "negation": 0.13, "question": 0.13, "clause": 0.14,
    "number": 0.08, "contrast": 0.10,
}  # fmt: skip
_NOMINATIVE = {"m": "der", "f": "die", "n": "das"}
_ACCUSATIVE = {"m": "den", "f": "die", "n": "das"}
_ONE = {"m": ("einen", "en"), "f": ("eine", "e"), "n": ("ein", "es")}
"""German accusative after "a": article, ending of the adjective."""


class PhraseOptions(Record):
    """What may follow the question mark of `sample:phrases?...`."""

    seed: int = Field(7, description="Another seed gives other rows of the same distribution.")
    num: int = Field(2000, ge=1, le=50_000, description="Rows; a larger num keeps the first ones.")
    pair: Literal["en-de", "de-en", "en-zh", "zh-en", "de-zh", "zh-de"] = Field(
        "en-de", description="Languages of source and target."
    )
    mispair: float = Field(0.0, ge=0, le=1, description="Share of rows with another row's target.")


class Sentence(NamedTuple):
    """The same in three languages, without its end."""

    en: str
    de: str
    zh: str
    end: Literal[".", "?"] = "."

    def text(self, language: str) -> str:
        """With capital and full stop, as the language writes them."""
        words = re.sub(r"\b(a) (?=[aeiou])", r"\1n ", str(getattr(self, language)))
        if language == "zh":
            return words + {".": "。", "?": "？"}[self.end]
        return words[0].upper() + words[1:] + self.end


def generate(options: PhraseOptions | None = None) -> Iterator[dict[str, str]]:
    """Rows with COLUMNS, sources distinct under `normalise`.

    Source: written for this project; see data_checks/phrase_words.py for the words.
    """
    options = options or PhraseOptions()
    rng, swaps = Random(options.seed), Random(-1 - options.seed)
    first, second = options.pair.split("-")
    seen: set[str] = set()
    before = ""
    for _ in range(options.num):
        phenomenon, sentence = _new_sentence(rng, seen)
        source, target = sentence.text(first), sentence.text(second)
        size = "short" if len(sentence.en.split()) <= 9 else "long"
        is_swapped = swaps.random() < options.mispair  # drawn for each row: sources do not move
        said = before if is_swapped and before else target
        yield dict(zip(COLUMNS, (source, said, options.pair, phenomenon, size), strict=True))
        before = target


def _new_sentence(rng: Random, seen: set[str]) -> tuple[str, Sentence]:
    """A sentence that is new in each language, which `seen` then knows."""
    phenomenon = weighted(rng, PHENOMENA)
    while True:
        sentence = _FRAMES[phenomenon](rng)
        keys = {normalise(sentence.text(language)) for language in ("en", "de", "zh")}
        if not keys & seen:
            seen |= keys
            return phenomenon, sentence


class _Scene(NamedTuple):
    """Who does what to what."""

    who: Person
    is_who: Quality | None
    act: Act
    what: Thing
    is_what: Quality
    where: Said

    def subject(self) -> Sentence:
        """The young teacher."""
        de = _NOMINATIVE[self.who.gender]
        if self.is_who is None:
            return Sentence(f"the {self.who.en}", f"{de} {self.who.de}", self.who.zh)
        how = self.is_who
        return Sentence(
            f"the {how.en} {self.who.en}",
            f"{de} {how.de}e {self.who.de}",
            f"{how.zh}的{self.who.zh}",
        )

    def the_thing(self) -> Sentence:
        """The red book, as an object."""
        ending = "en" if self.what.gender == "m" else "e"
        return Sentence(
            f"the {self.is_what.en} {self.what.en}",
            f"{_ACCUSATIVE[self.what.gender]} {self.is_what.de}{ending} {self.what.de}",
            f"这{self.what.measure}{self.is_what.zh}的{self.what.zh}",
        )

    def a_thing(self) -> Sentence:
        """A red book, as an object."""
        article, ending = _ONE[self.what.gender]
        return Sentence(
            f"a {self.is_what.en} {self.what.en}",
            f"{article} {self.is_what.de}{ending} {self.what.de}",
            f"一{self.what.measure}{self.is_what.zh}的{self.what.zh}",
        )


def _scene(rng: Random, share_described: float = 0.4) -> _Scene:
    how = pick(rng, OF_PEOPLE) if rng.random() < share_described else None
    return _Scene(
        pick(rng, PEOPLE), how, pick(rng, ACTS), pick(rng, THINGS), pick(rng, OF_THINGS),
        pick(rng, PLACES),
    )  # fmt: skip


def _plain(rng: Random) -> Sentence:
    s = _scene(rng)
    who, what = s.subject(), s.a_thing()
    return Sentence(
        f"{who.en} {s.act.en_now} {what.en} {s.where.en}",
        f"{who.de} {s.act.de_now} {s.where.de} {what.de}",
        f"{who.zh}{s.where.zh}{s.act.zh}{what.zh}",
    )


def _past(rng: Random) -> Sentence:
    s, when = _scene(rng), pick(rng, TIMES)
    who, what = s.subject(), s.a_thing()
    return Sentence(
        f"{when.en} {who.en} {s.act.en_past} {what.en}",
        f"{when.de} hat {who.de} {what.de} {s.act.de_done}",
        f"{when.zh}{who.zh}{s.act.zh}了{what.zh}",
    )


def _negation(rng: Random) -> Sentence:
    s = _scene(rng)
    who, what = s.subject(), s.the_thing()
    return Sentence(
        f"{who.en} does not {s.act.en} {what.en}",
        f"{who.de} {s.act.de_now} {what.de} nicht",
        f"{who.zh}不{s.act.zh}{what.zh}",
    )


def _question(rng: Random) -> Sentence:
    s = _scene(rng)
    who, what = s.subject(), s.the_thing()
    return Sentence(
        f"does {who.en} {s.act.en} {what.en} {s.where.en}",
        f"{s.act.de_now} {who.de} {what.de} {s.where.de}",
        f"{who.zh}{s.where.zh}{s.act.zh}{what.zh}吗",
        "?",
    )


def _clause(rng: Random) -> Sentence:
    s, name = _scene(rng), pick(rng, NAMES)
    who, what = s.subject(), s.the_thing()
    return Sentence(
        f"{name.en} says that {who.en} {s.act.en_now} {what.en}",
        f"{name.de} sagt, dass {who.de} {what.de} {s.act.de_now}",
        f"{name.zh}说{who.zh}{s.act.zh}{what.zh}",
    )


def _number(rng: Random) -> Sentence:
    s, name = _scene(rng), pick(rng, NAMES)
    many = 2 + int(rng.random() * 98)
    return Sentence(
        f"{name.en} has {many} {s.is_what.en} {s.what.en_many}",
        f"{name.de} hat {many} {s.is_what.de}e {s.what.de_many}",
        f"{name.zh}有{many}{s.what.measure}{s.is_what.zh}的{s.what.zh}",
    )


def _contrast(rng: Random) -> Sentence:
    one, two = _scene(rng, 0.0), _scene(rng, 0.0)
    a, b, this, that = one.subject(), two.subject(), one.the_thing(), two.a_thing()
    return Sentence(
        f"{a.en} {one.act.en_now} {this.en}, but {b.en} {two.act.en_now} {that.en}",
        f"{a.de} {one.act.de_now} {this.de}, aber {b.de} {two.act.de_now} {that.de}",
        f"{a.zh}{one.act.zh}{this.zh}，但是{b.zh}{two.act.zh}{that.zh}",
    )


_FRAMES: dict[str, Callable[[Random], Sentence]] = {
    "plain": _plain, "past": _past, "negation": _negation, "question": _question,
    "clause": _clause, "number": _number, "contrast": _contrast,
}  # fmt: skip
