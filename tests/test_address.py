"""No address that is shown or stored holds a password."""

import pytest

from records.address import holds_userinfo, userinfo, without_userinfo


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ann:s3cret@host", "https://host"),
        ("https://ann:s3cret@host:5000/mlflow/#/runs/1", "https://host:5000/mlflow/#/runs/1"),
        ("https://token@host/a", "https://host/a"),
        ("postgresql+psycopg2://ann:p@ss@db:5432/mlflow", "postgresql+psycopg2://db:5432/mlflow"),
        ("postgresql://ann:p/ss@db/mlflow", "postgresql://db/mlflow"),
        ("no answer from https://a:b@c/d, nor http://e:f@g", "no answer from https://c/d, nor http://g"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://host/team/ann@example.com", "https://host/team/ann@example.com"),
        ("sqlite:////home/ann@work/mlflow.db", "sqlite:////home/ann@work/mlflow.db"),
        ("hf://imdb@0f5c, not hf://ann:s3cret@imdb", "hf://imdb@0f5c, not hf://imdb"),
    ],
)  # fmt: skip
def test_address_is_shown_without_name_and_password(text: str, shown: str) -> None:
    assert without_userinfo(text) == shown
    assert holds_userinfo(text) is (text != shown)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://ann:s%2Fcret@host", ("ann", "s/cret")),
        ("https://ann:s/cret@host", ("ann", "s/cret")),
        ("https://token@host", ("token", "")),
        ("https://host", ("", "")),
    ],
)
def test_name_and_password_are_read_as_they_were_meant(
    address: str, found: tuple[str, str]
) -> None:
    assert userinfo(address) == found
