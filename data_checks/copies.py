"""Training rows that are in the data that judges: the rules that every task shares."""

from collections.abc import Callable

import pandas as pd

Rule = Callable[[pd.DataFrame], "pd.Series[bool]"]
"""Which of the rows that no earlier rule took it holds for."""


def copies_of_test(frame: pd.DataFrame) -> Rule:
    """Rows whose text is in the given test of `frame`."""
    keys = frame.loc[frame["split"] == "test", "text_key"].dropna()
    return lambda rows: rows["text_key"].isin(keys)


def copies_of_validation(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Training rows whose text is in the validation data."""
    keys = rows.loc[rows["split"] == "validation", "text_key"]
    return (rows["split"] == "train") & rows["text_key"].isin(keys)
