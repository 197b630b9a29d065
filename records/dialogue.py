"""A dialogue as text: turns in canonical JSON, or a single question written as it is."""

import json
from typing import Any, NamedTuple

from records.base import canonical_json

ROLES = ("system", "user", "assistant")


class Turn(NamedTuple):
    """Who says what."""

    role: str
    content: str


def turns_of(text: str) -> list[Turn]:
    """The turns before an answer: those of `write_turns`, or the text as the only user's turn."""
    if text.startswith('[{"content":'):
        try:
            return [Turn(turn["role"], turn["content"]) for turn in json.loads(text)]
        except (ValueError, KeyError, TypeError):
            pass
    return [Turn("user", text)]


def write_turns(turns: list[Turn]) -> str:
    """Turns as one text, which `turns_of` reads; a single user's turn is its own text."""
    if len(turns) == 1 and turns[0].role == "user" and turns_of(turns[0].content) == turns:
        return turns[0].content
    return canonical_json([turn._asdict() for turn in turns]).decode("utf-8", "surrogatepass")


def first_question(text: str) -> str:
    """What the first user says, which decides the split: dialogues that begin alike stay together."""
    return next((turn.content for turn in turns_of(text) if turn.role == "user"), text)


def last_question(text: str) -> str:
    """What the last user says: an answer is an answer to that."""
    return next((t.content for t in reversed(turns_of(text)) if t.role == "user"), text)


def split_answer(value: Any) -> tuple[str, str, str]:
    """(turns before, last answer, flaw) of messages as files have them; a flaw leaves both empty.

    Args:
        value: a list of {role, content}, or JSON of one.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return "", "", "not JSON; write a list of {role, content}"
    if not isinstance(value, list) or not value:
        return "", "", "not a list of {role, content} with at least one turn"
    turns: list[Turn] = []
    for number, turn in enumerate(value, start=1):
        if flaw := _flaw(turn, turns[-1].role if turns else ""):
            return "", "", f"turn {number} {flaw}"
        turns.append(Turn(turn["role"], turn["content"]))
    if turns[-1].role != "assistant" or len(turns) == 1:
        return "", "", "does not end with an assistant's turn after a user's; there is no answer"
    return write_turns(turns[:-1]), turns[-1].content, ""


def _flaw(turn: Any, before: str) -> str:
    """What is wrong with one turn, given who spoke before."""
    if not isinstance(turn, dict):
        return "is no object {role, content}"
    role, content = turn.get("role"), turn.get("content")
    if role is None:
        return f"has no role; give one of {', '.join(ROLES)}"
    if role not in ROLES:
        return f"has the role {role!r}, none of {', '.join(ROLES)}"
    if not isinstance(content, str) or not content.strip():
        return f"({role}) has no content"
    allowed = {"": ("system", "user"), "system": ("user",), "user": ("assistant",)}
    expected = allowed.get(before, ("user",))
    return (
        "" if role in expected else f"is the {role}'s, where the {' or '.join(expected)}'s must be"
    )
