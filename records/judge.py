"""A judge of written answers: where it is, what it may cost, and what it said."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from records.base import Record, digest_of

ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")


class JudgePolicy(Record):
    """A model behind an OpenAI-compatible endpoint, which compares the answers of two models and is
    shown them in both orders. Its key is REFIT_JUDGE_KEY, never in a recipe."""

    url: str = Field(
        ...,
        max_length=500,
        description="Address of the API; /chat/completions is added: http://127.0.0.1:8000/v1.",
    )
    model: str = Field(
        ...,
        min_length=1,
        max_length=200,
        description="Name of the judging model, as the API has it.",
    )
    items: int = Field(
        400,
        ge=1,
        le=100_000,
        description="Test items that it is asked about, drawn by their ids; of fewer, all.",
    )
    margin: float = Field(
        0.1,
        gt=0,
        le=0.5,
        description="Tolerated share of lost items beyond the won ones; without meaning for rule "
        "superior and for a first champion, which must win.",
    )
    show_reference: bool = Field(True, description="Whether it is shown the right answer, too.")
    answer_tokens: int = Field(
        256, ge=8, le=100_000, description="Most tokens of one verdict, its thoughts included."
    )
    max_calls: int = Field(4000, ge=2, description="Calls of one run; past them nothing passes.")
    max_tokens: int = Field(
        10_000_000, ge=1, description="Tokens of one run, in and out; past them nothing passes."
    )
    max_s: float = Field(
        3600, gt=0, le=7 * 86400, description="Seconds of one run; past them nothing passes."
    )
    call_s: float = Field(120, gt=0, le=3600, description="Longest wait for one verdict, seconds.")
    parallel: int = Field(4, ge=1, le=64, description="Calls at a time.")

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        """Checked here, where no message shows the value: an address may hold a key."""
        if not ADDRESS.fullmatch(self.url):
            raise ValueError(
                "url is no plain address of an API; give http(s)://host/v1 without a name, a key or a "
                "question mark in it: the key is REFIT_JUDGE_KEY"
            )
        return self


Choice = Literal["challenger", "other", "tie", "unreadable"]
"""Whose answer a verdict prefers, whatever place it stood at; unreadable: it was no verdict."""


class Judgement(Record):
    """What the judge said of the challenger's answers against one other model's.

    All tuples have one entry per judged item. It holds no text.
    """

    against: str
    """Role of the other model: champion, anchor, baseline:<name>."""
    challenger_digest: str
    other_digest: str
    policy_digest: str
    """Of the JudgePolicy that it was asked by."""
    prompt_version: int
    prompt_digest: str
    """sha256 of the whole prompt, before questions and answers are put in."""
    item_ids: tuple[str, ...]
    answers_digest: str
    """`digest_answers` of what it was shown: the answers that were scored, and no others."""
    shown_first: tuple[Choice, ...]
    """Verdicts where the challenger's answer stood first."""
    shown_last: tuple[Choice, ...]
    """Verdicts where it stood second."""
    num_calls: int
    """Made for this judgement; verdicts that were known before cost none."""
    num_tokens: int
    wall_s: float
    error: str = ""
    """Why it is not finished; the tuples of verdicts are then empty."""


def digest_answers(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """Digest over the digests of both models' answers, in the order of the judged items."""
    return digest_of([list(ours), list(theirs)])


def agree(first: Choice, last: Choice) -> Choice | None:
    """What both orders say; None where they contradict each other, or one is unreadable: an abstention."""
    return first if first == last and first != "unreadable" else None
