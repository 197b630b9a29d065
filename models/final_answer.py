"""The final number of an answer, as in GSM8K: what stands after `####`.

One number and no choice: an answer that offers several after its mark has none. Without a mark the
last number of the answer counts, since a chat model that was not taught the mark may still be right.
"""

import re
import unicodedata
from decimal import Decimal

MARK = "####"
SIGNATURE = "number after ####, v2"
MOST_DIGITS = 60
_NUMBER = re.compile(
    r"(?<![\w.,])"  # not inside a word or another number
    r"(?P<sign>[+-]?)\s?[$€£¥]?\s?(?P<inner>[+-]?)"
    r"(?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
    r"(?P<odd>[eE^/][+-]?[0-9]|[.,][0-9])?"
)


def final_number(text: str, *, needs_mark: bool = False) -> Decimal | None:
    """The one number that an answer ends in; None: there is none, or several to choose from.

    Args:
        text: an answer, or a right one.
        needs_mark: whether a text without `####` has no final number at all.
    """
    _, mark, last = unicodedata.normalize("NFKC", text).replace("\u2212", "-").rpartition(MARK)
    if not mark:
        found = [] if needs_mark else numbers(last)
        return found[-1] if found else None
    lines = last.strip().splitlines()
    found = numbers(lines[0]) if lines else []
    return found[0] if len(found) == 1 else None


def numbers(text: str) -> list[Decimal]:
    """Every number of a text: commas between thousands, a currency sign, a sign, a decimal point.

    One in another notation (1e3, 2^3, 1/2, 1,2 or 1.2.3), or of more than 60 digits, is NaN: no
    number, and yet not passed over.
    """
    return [_value(match) for match in _NUMBER.finditer(text)]


def _value(match: re.Match[str]) -> Decimal:
    digits, signs = match["digits"].replace(",", ""), match["sign"] + match["inner"]
    if match["odd"] or len(digits) > MOST_DIGITS or len(signs) > 1:
        return Decimal("NaN")
    return Decimal(signs + digits)
