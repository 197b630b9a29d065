"""Whether a text is clearly not in the language that was said: by script, then by small words.

A coarse test, made to find swapped columns and foreign files. It is silent where it does not know:
short texts, names, languages that share a script and have no list here.
"""

import re
from collections.abc import Sequence

_SCRIPTS = {
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "Kana": "\u3040-\u30ff",
    "Hangul": "\uac00-\ud7af\u1100-\u11ff",
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
    "Latin": "A-Za-z\u00c0-\u024f",
}
_COUNTERS = {name: re.compile(f"[{chars}]") for name, chars in _SCRIPTS.items()}
_WRITTEN_IN = {
    "zh": ("Han",), "ja": ("Kana", "Han"), "ko": ("Hangul", "Han"), "ru": ("Cyrillic",),
    "uk": ("Cyrillic",), "bg": ("Cyrillic",), "el": ("Greek",), "ar": ("Arabic",),
    "fa": ("Arabic",), "ur": ("Arabic",), "he": ("Hebrew",), "hi": ("Devanagari",),
    "mr": ("Devanagari",), "th": ("Thai",),
}  # fmt: skip
_SMALL_WORDS = {
    "en": "the and of to is was are with his her that this for you it on at not they have be",
    "de": "der die das und ist ein eine einen einem nicht mit auf den dem von sie ich wir zu im wird",
    "fr": "le la les des est une et dans qui que pas pour sur avec du il elle nous je au",
    "es": "el los las una y que de en por con para es no se su del al como está",
    "it": "il gli che di una è per non con sono della nel lo ha si dei alla",
    "pt": "o os as uma e que de em não com para por é do da no na se",
    "nl": "de het een en van ik niet is dat op te met zijn voor aan er maar ook",
}
_VOTES = {language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")
MIN_LETTERS = 4
FIRST_CHARS = 200
"""Of a text, enough to tell its script."""
MIN_LEAD = 2
"""Small words by which another language must lead."""


def is_foreign(text: str, language: str) -> bool:
    """Whether `text` is clearly not in `language` (ISO 639-1, a region is ignored)."""
    language = language.split("-")[0].lower()
    counts = {name: len(found.findall(text)) for name, found in _COUNTERS.items()}
    total = sum(counts.values())
    if total < MIN_LETTERS:
        return False
    own = sum(counts[name] for name in _WRITTEN_IN.get(language, ("Latin",)))
    if own * 2 < total:
        return True
    if language == "zh" and counts["Kana"] * 5 > total:
        return True
    return language in _VOTES and _outvoted(text, language)


def share_in(script: str, texts: Sequence[str]) -> float:
    """Share of the texts at least half of whose letters are in a script, of those that have letters.

    Args:
        script: a name in _SCRIPTS.
        texts: N texts.
    """
    texts = [text[:FIRST_CHARS] for text in texts]
    totals = [sum(map(str.isalpha, text)) for text in texts]
    own = [len(_COUNTERS[script].findall(text)) for text in texts]
    told = [2 * n >= total for n, total in zip(own, totals, strict=True) if total >= MIN_LETTERS]
    return sum(told) / max(1, len(told))


def _outvoted(text: str, language: str) -> bool:
    words = [word.lower() for word in _WORD.findall(text)]
    votes = {name: sum(word in known for word in words) for name, known in _VOTES.items()}
    own = votes.pop(language)
    return max(votes.values()) >= own * 2 + MIN_LEAD
