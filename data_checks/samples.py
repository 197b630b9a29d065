"""The small sets that ship with the project: `sample:reviews`, `:complaints`, `:phrases`, `:dialogues`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from data_checks import sample_complaints, sample_dialogues, sample_phrases, sample_reviews
from data_checks.problems import SourceError
from records.base import Record


class SampleError(SourceError):
    """A `sample:` URI that names no sample or an option that does not exist."""


Rows = Iterator[Mapping[str, object]]

SAMPLES: dict[str, tuple[type[Record], Callable[[Any], Rows]]] = {
    "reviews": (sample_reviews.SampleOptions, sample_reviews.generate),
    "complaints": (sample_complaints.ComplaintOptions, sample_complaints.generate),
    "dialogues": (sample_dialogues.DialogueOptions, sample_dialogues.generate),
    "phrases": (sample_phrases.PhraseOptions, sample_phrases.generate),
}
"""Name: its options, and the generator that takes them."""


def open_sample(uri: str) -> Callable[[], Rows]:
    """The rows behind `sample:reviews?seed=8&num=1000`, as often as they are asked for.

    Raises:
        SampleError: another name, an unknown or repeated option, a value out of bounds; lists them all.
    """
    name = uri.removeprefix("sample:").partition("?")[0]
    options, generate = SAMPLES.get(name, SAMPLES["reviews"])
    return partial(generate, read_options(uri, options))


def read_options(uri: str, options: type[Record]) -> Record:
    """What follows the question mark of a `sample:` URI; raises SampleError, listing all problems."""
    name, _, query = uri.removeprefix("sample:").partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    given, fields = dict(pairs), options.model_fields
    problems = [] if name in SAMPLES else [f"no sample {name!r}; there are: {', '.join(SAMPLES)}"]
    problems += [f"option {key!r} does not exist" for key in given if key not in fields]
    if len(given) < len(pairs):
        problems.append("an option is given twice")
    known = {key: value for key, value in given.items() if key in fields}
    found = options()
    try:
        found = options.model_validate(known)
    except ValidationError as exc:
        problems += [f"{e['loc'][0]}={e['input']!r}: {_said(e['msg'])}" for e in exc.errors()]
    if problems:
        allowed = ", ".join(f"{key} ({field.description})" for key, field in fields.items())
        raise SampleError(f"{uri}: {'; '.join(problems)}. Options: {allowed}")
    return found


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")
