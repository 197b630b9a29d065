"""The store that the tests of store and ledger share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.store import LocalStore, Store


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.service)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "s3":
        yield request.getfixturevalue("s3_store")
    else:
        yield LocalStore(tmp_path / "store")
