"""Slices of translations that are derived from source and reference."""

import pandas as pd

from data_checks.items import slice_column


def items_of(*pairs: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": [s for s, _ in pairs],
            "references": [[r, "another, longer one"] for _, r in pairs],
        }
    )


def test_a_length_ratio_is_short_or_long_against_the_median_of_the_test() -> None:
    """The median here is 2 characters of target to each of source, as from Chinese to English."""
    usual = [("四个汉字", "x" * 8)] * 5
    edges = [("四个汉字", "x" * n) for n in (5, 6, 10, 11)]  # 0.625, 0.75, 1.25, 1.375 of it
    found = slice_column(items_of(*usual, *edges, ("", "xx")), "length_ratio")
    assert found == ("usual",) * 5 + ("short", "usual", "usual", "long", "usual")


def test_copied_is_the_share_of_the_source_that_the_first_reference_repeats() -> None:
    items = items_of(
        ("The dog barks.", "Der Hund bellt."),
        ("Tom has 42 hats, Anna none.", "tom hat (42) Hüte"),
        ("Tom, Anna!", "anna und Tom?"),
        ("One two three four", "ONE two"),
        ("", "Nichts"),
    )
    found = slice_column(items, "copied")
    assert found == ("nothing", "some words", "half or more", "half or more", "nothing")


def test_the_slices_of_a_person_are_one_slice() -> None:
    items = pd.DataFrame({"attribute.who": ["ann@mail.example", "bob@mail.example", None, "shop"]})
    assert slice_column(items, "who") == ("[e-mail]", "[e-mail]", "(none)", "shop")
