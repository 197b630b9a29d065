"""Markup that is safe by construction: every string is escaped unless it is already `Html`.

A builder of a few lines instead of templates: charts and tables nest as plain function calls, mypy
checks them, and no page can forget to escape.
"""

import html
import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

Attribute: TypeAlias = str | int | float | None


class Html(str):
    """Finished markup. Only this module makes it from strings."""

    __slots__ = ()


VOID = frozenset({"br", "meta"})
ORDINARY_FORMATS = frozenset("\u200c\u200d\u200e\u200f\u061c")
"""Joiners and direction marks that ordinary Persian, Arabic, Hebrew and emoji text contains."""


def visible(text: str) -> str:
    """`text` with its control and hidden format characters written out.

    New lines and tabs stay what they are and are marked; a NUL, an override of direction, a zero-width space or half a
    surrogate pair (which no UTF-8 file can hold) is shown by its number instead of acting.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in "\n\t":
        return {"\n": "↵\n", "\t": "⇥\t"}[character]
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return (
        f"[U+{ord(character):04X}]" if hidden and character not in ORDINARY_FORMATS else character
    )


def escape(text: str) -> Html:
    """`text` as markup that shows exactly its characters, in an element or in an attribute."""
    return text if isinstance(text, Html) else Html(html.escape(visible(text), quote=True))


def join(*parts: str | None, between: str = "") -> Html:
    """The parts one after the other, each escaped unless it is `Html`; None is left out."""
    return Html(escape(between).join(escape(part) for part in parts if part is not None))


def el(tag: str, *children: str | None, **attributes: Attribute) -> Html:
    """The element `<tag attributes>children</tag>`.

    Attributes: a trailing underscore is dropped (`class_`), others become hyphens (`aria_label`),
    None leaves the attribute out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(
        f"<{tag}{written}>" if tag in VOID else f"<{tag}{written}>{join(*children)}</{tag}>"
    )


def trusted(markup: str) -> Html:
    """A constant of this room (the style sheet) as markup; never for data."""
    return Html(markup)


def own_text(text: str, tag: str = "bdi") -> Html:
    """A text from the data in an element of its own, in its own direction."""
    return el(tag, text, dir="auto")


def table(
    heads: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    caption: str = "",
    numeric: frozenset[int] = frozenset(),
    class_: str | None = None,
) -> Html:
    """A table whose first column names its rows; the columns in `numeric` align to the right.

    Wide tables scroll in their own box, which the keyboard can reach; those of class `stack` become
    a list on a phone.
    """
    side = ["num" if i in numeric else None for i in range(len(heads))]
    head = [el("th", text, scope="col", class_=side[i]) for i, text in enumerate(heads)]
    body = [
        el(
            "tr",
            el("th", row[0], scope="row", class_=side[0]),
            *[
                el("td", cell, class_=side[i], data_label=heads[i])
                for i, cell in enumerate(row[1:], start=1)
            ],
        )
        for row in rows
    ]
    content = join(
        el("caption", caption) if caption else None,
        el("thead", el("tr", *head)),
        el("tbody", *body),
    )
    return el(
        "div",
        el("table", content, class_=class_),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption or ", ".join(heads),
    )


def pairs(rows: list[tuple[str, str | None]]) -> Html:
    """Names and values as a definition list; rows whose value is None or empty are left out."""
    return el("dl", *[el("div", el("dt", name), el("dd", value)) for name, value in rows if value])


def details(summary: str, *children: str | None) -> Html:
    """A part that opens on a click and is always open in print."""
    return el("details", el("summary", summary), *children)


def code(text: str) -> Html:
    """A digest, key or version, breakable anywhere."""
    return el("code", text)


def note(*children: str | None) -> Html:
    """A sentence of small print."""
    return el("p", *children, class_="note")
