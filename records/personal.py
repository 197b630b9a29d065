"""Personal data in texts that are shown: found by form, and by check digits where the form has any.

E-mail addresses, telephone numbers, card numbers (Luhn), IBANs (ISO 13616), IP addresses and names
with passwords in web addresses. Names of people, streets and dates of birth have no form: they stay.
What is shown is masked, never what a model learns from or answers.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from records.attribution import Piece

_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
"""Not `\\b`: a Chinese letter may stand beside."""
_LETTERS = "A-Za-z0-9À-ɏͰ-ӿ"
"""Latin, Greek, Cyrillic: an address in a Chinese sentence ends where that goes on."""
_GAP = r"[ \u00a0\u2009\u202f./-]"
_USERINFO = re.compile(r"(?<=://)(?<!hf://)[^\s/?#@:]*(?::[^\s/?#@]*)?(?=@)")
_EMAIL = re.compile(
    rf"[{_LETTERS}._%+'-]{{0,63}}[{_LETTERS}_%+-][@＠](?:[{_LETTERS}-]+\.)+[{_LETTERS}-]{{2,}}"
)
_IBAN = re.compile(
    rf"{_START}[A-Za-z]{{2}}\d\d(?: ?[A-Za-z0-9]{{4}}){{2,7}}(?: ?[A-Za-z0-9]{{1,3}})?{_END}"
)
_CARD = re.compile(
    r"(?<![A-Za-z0-9_])(?<!\d[.,])(?=[2-6]|1800|2131)"
    r"(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})"
    r"(?![A-Za-z0-9_]|[.,]\d)"
)
_IP = re.compile(
    r"(?<![A-Za-z0-9_.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![A-Za-z0-9_:]|\.\d)"
)
_EXTENSION = r"(?: ?(?:x|ext\.? ?)\d{1,5})?"
_PHONE = re.compile(
    rf"(?<![A-Za-z0-9_+])(?<!\d[.,/-])(?:"
    rf"(?:\+|00)[1-9]\d{{0,2}}{_GAP}?(?:\(0?\d{{0,4}}\){_GAP}?)?\d(?:{_GAP}?\d){{5,12}}"  # country
    rf"|\(\d{{2,5}}\) ?\d{{3,4}}(?:[ -]?\d{{2,4}}){{1,3}}"  # (area) number
    rf"|(?:1[ .-])?\d{{3}}([.-])\d{{3}}\1\d{{4}}"  # North America
    rf"|0\d{{1,4}}(?:[ ./-]\d{{2,4}}){{2,4}}|0\d{{2,4}}[ /-]\d{{5,8}}|0[1-9]\d{{8,9}}"  # trunk zero
    rf"|1[3-9]\d{{9}}"  # China, mobile
    rf"){_EXTENSION}(?![A-Za-z0-9_]|[.,/-]\d)"
)
_CUE = re.compile(
    r"(?:phone|telefon|mobile|handy|\b(?:tel|fax|cell|call|dial|call(?:ed|ing)? (?:me|us))\b|电话|手机|致电)"
    r"[^\d\n+(]{0,30}$",
    re.IGNORECASE,
)
"""What stands before a number that is one to call, whatever its form."""
_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}(?: \d\d)?|(?:19|20)\d\d[ -](?:19|20)\d\d")
"""Or two years."""
_CALLED = re.compile(
    rf"(?<![A-Za-z0-9_+])(?<!\d[.,/-])\d(?:[ .\u00a0-]?\d){{6,14}}{_EXTENSION}(?![A-Za-z0-9_]|[.,/-]\d)"
)


class Personal(NamedTuple):
    """Characters `start` to `end` of a text are personal data of a kind."""

    start: int
    end: int
    kind: str


def find_personal(text: str) -> list[Personal]:
    """Every place of personal data, in order and without overlaps; the surest kind first."""
    found: list[Personal] = []
    for kind, places in _FINDERS:
        for start, end in places(text):
            if all(end <= other.start or other.end <= start for other in found):
                found.append(Personal(start, end, kind))
    return sorted(found)


def mask(text: str) -> str:
    """The text with its kind in brackets in the place of everything personal: `[e-mail]`."""
    if not _MAY_HOLD.search(text):
        return text
    parts, at = [], 0
    for start, end, kind in find_personal(text):
        parts += [text[at:start], f"[{kind}]"]
        at = end
    return "".join(parts) + text[at:]


def mask_all(texts: Mapping[str, str]) -> dict[str, str]:
    """Texts by name, each masked."""
    return {name: mask(text) for name, text in texts.items()}


def mask_pieces(text: str, pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """The pieces of a text, moved to their places in the masked text.

    Those inside of a mask are one piece, which has the sum of their values.
    """
    masks = find_personal(text)
    sums: dict[tuple[int, int], float] = {}
    for start, end, value in (_moved(piece, masks) for piece in pieces):
        sums[start, end] = sums.get((start, end), 0.0) + value
    return tuple(Piece(start=s, end=e, value=v) for (s, e), v in sorted(sums.items()))


def _moved(piece: Piece, masks: list[Personal]) -> tuple[int, int, float]:
    start, end, shift = piece.start, piece.end, 0
    for begin, until, kind in masks:
        width = len(kind) + 2
        if start < until and begin < end:
            start, end = min(start, begin), max(end, until)
            end += width - (until - begin)
        elif until <= piece.start:
            shift += width - (until - begin)
    return start + shift, end + shift, piece.value


def _spans(
    pattern: re.Pattern[str], is_one: Callable[[str], bool]
) -> Callable[[str], Iterator[tuple[int, int]]]:
    def find(text: str) -> Iterator[tuple[int, int]]:
        return (m.span() for m in pattern.finditer(text) if m.group() and is_one(m.group()))

    return find


def is_card(text: str) -> bool:
    """Whether the check digit is right, and not all digits are one. Source: ISO/IEC 7812-1 (Luhn)."""
    digits = re.sub(r"\D", "", text)
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    """IBANs; of what looks like one with words behind it, the first words that are one."""
    for match in _IBAN.finditer(text):
        found = match.group()
        ends = [len(found), *(m.start() for m in reversed(list(re.finditer(" ", found))))]
        if end := next((end for end in ends if is_iban(found[:end])), 0):
            yield match.start(), match.start() + end


def is_iban(text: str) -> bool:
    """Whether the check digits are right. Source: ISO 13616-1, by ISO/IEC 7064 MOD 97-10."""
    plain = text.replace(" ", "").upper()
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _is_ip(text: str) -> bool:
    """An address; of those with colons one that no code or time of day looks like."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    groups = [group for group in text.split(":") if group]
    return "." in text or (len(groups) >= 3 and any(c.isdigit() for c in text))


def _is_phone(text: str) -> bool:
    digits = re.sub(r"\D", "", re.split("[xe]", text)[0])
    return 7 <= len(digits) <= 15 and not _DATE.fullmatch(text)


def _called(text: str) -> Iterator[tuple[int, int]]:
    """Numbers behind a word such as `call`, in any form but a date's."""
    for start, end in _spans(_CALLED, _is_phone)(text):
        if _CUE.search(text[max(0, start - 45) : start]):
            yield start, end


_FINDERS: tuple[tuple[str, Callable[[str], Iterator[tuple[int, int]]]], ...] = (
    ("userinfo", _spans(_USERINFO, bool)),
    ("e-mail", _spans(_EMAIL, bool)),
    ("IBAN", _ibans),
    ("IP address", _spans(_IP, _is_ip)),
    ("card number", _spans(_CARD, is_card)),
    ("phone", _spans(_PHONE, _is_phone)),
    ("phone", _called),
)
_MAY_HOLD = re.compile(r"[@＠:]|\d(?:[^\w\n]{0,3}\d){6}|\d\d[A-Za-z0-9 ]{8}")
"""Nothing is masked without an at-sign, a colon, seven digits, or what may be an IBAN."""
