"""`sample:dialogues`: support talks of a small shop with one right answer each, by a seeded generator.

The answer follows from what was said: prices and days from the table of the shop, and in talks of
two questions the second says "it", so that who forgets the first turn cannot know.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from pydantic import Field

from data_checks.draws import pick, weighted
from records.base import Record, canonical_json
from records.text import normalise

COLUMNS = ("messages", "topic", "talk")
TALKS = {"one": 0.45, "two": 0.55}
GREETINGS = ("Hello.", "Hi!", "Good morning.", "Good evening.", "Hello there.", "Excuse me.")
NAMES = (
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Emma",
    "Felix",
    "Lea",
    "Max",
    "Nina",
    "Paul",
    "Sofia",
    "Tom",
)
ORDERS = ("I am {name}.", "This is {name}.", "My name is {name}.", "{name} here.")


class Ware(NamedTuple):
    """What the shop knows of a thing it sells."""

    name: str
    price: int
    days: int
    colour: str
    place: str


WARES = tuple(
    Ware(name, int(price), int(days), colour, place)
    for name, price, days, colour, place in (
        line.split() for line in """
    lamp 40 3 red cellar
    chair 55 5 green hall
    table 120 7 brown hall
    clock 25 2 white window
    carpet 80 6 blue cellar
    guitar 150 4 black window
    coat 65 2 grey upstairs
    hat 15 1 yellow upstairs
    bicycle 210 9 silver yard
    umbrella 12 1 purple door
    kettle 30 3 white kitchen
    mirror 45 5 golden upstairs
    """.strip().splitlines()
    )
)  # fmt: skip
QUESTIONS = {
    "price": ("How much is {it}?", "What does {it} cost?", "Tell me the price of {it}."),
    "delivery": ("How long does {it} take to arrive?", "When will {it} be delivered?",
                 "In how many days can I have {it}?"),
    "colour": ("Which colour is {it}?", "What colour does {it} have?"),
    "place": ("Where do I find {it}?", "Where is {it} in the shop?"),
}  # fmt: skip


class DialogueOptions(Record):
    """What may follow the question mark of `sample:dialogues?...`."""

    seed: int = Field(7, description="Another seed gives other rows of the same distribution.")
    num: int = Field(2000, ge=1, le=20_000, description="Rows; a larger num keeps the first ones.")
    wrong: float = Field(
        0.0, ge=0, le=1, description="Share of rows whose answer is another ware's."
    )


def generate(options: DialogueOptions | None = None) -> Iterator[dict[str, str]]:
    """Rows with COLUMNS, first questions distinct under `normalise`.

    Source: written for this project.
    """
    options = options or DialogueOptions()
    rng, swaps = Random(options.seed), Random(-1 - options.seed)
    seen: set[str] = set()
    for _ in range(options.num):
        talk = weighted(rng, TALKS)
        is_wrong = swaps.random() < options.wrong  # drawn for each row: questions do not move
        turns, topic = _new_talk(rng, seen, talk, is_wrong)
        messages = canonical_json(turns).decode()
        yield dict(zip(COLUMNS, (messages, topic, talk), strict=True))


def _new_talk(
    rng: Random, seen: set[str], talk: str, is_wrong: bool
) -> tuple[list[dict[str, str]], str]:
    """Turns that begin as no talk before them, and the topic of the last question."""
    while True:
        ware, first, second = pick(rng, WARES), *_two_topics(rng)
        opening = f"{pick(rng, GREETINGS)} {pick(rng, ORDERS).format(name=pick(rng, NAMES))}"
        asked = pick(rng, QUESTIONS[first]).format(it=f"the {ware.name}")
        again = pick(rng, QUESTIONS[second]).format(it="it")
        if normalise(f"{opening} {asked}") not in seen:
            break
    seen.add(normalise(f"{opening} {asked}"))
    other = WARES[(WARES.index(ware) + 5) % len(WARES)] if is_wrong else ware
    turns = [_turn("user", f"{opening} {asked}")]
    if talk == "one":
        return [*turns, _turn("assistant", _answer(first, other))], first
    turns += [_turn("assistant", _answer(first, ware)), _turn("user", again)]
    return [*turns, _turn("assistant", _answer(second, other))], second


def _two_topics(rng: Random) -> tuple[str, str]:
    topics = list(QUESTIONS)
    first = pick(rng, topics)
    return first, pick(rng, [topic for topic in topics if topic != first])


def _answer(topic: str, ware: Ware) -> str:
    """The one right answer."""
    return {
        "price": f"The {ware.name} costs {ware.price} euros.",
        "delivery": f"The {ware.name} takes {ware.days} days.",
        "colour": f"The {ware.name} is {ware.colour}.",
        "place": f"The {ware.name} is in the {ware.place}.",
    }[topic]


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
