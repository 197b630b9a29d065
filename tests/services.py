"""Real servers for tests that carry the marker `service`: one per session, a bucket per test."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from pydantic import SecretStr

from deployments.local import radosgw
from deployments.local.radosgw import S3Server
from tasks.store import S3Settings, S3Store


def s3_settings(server: S3Server, **changes: object) -> S3Settings:
    """Settings for that server; `changes` replace single fields."""
    settings = S3Settings(
        endpoint_url=server.endpoint,
        region="us-east-1",
        access_key_id=server.access_key,
        secret_access_key=SecretStr(server.secret_key),
    )
    return settings.model_copy(update=changes)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A private radosgw; without its programs the test skips, but in CI it fails."""
    if missing := radosgw.missing_programs():
        reason = f"missing {', '.join(missing)}: run deployments/local/install.sh"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with radosgw.start(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_store(s3_server: S3Server) -> Iterator[S3Store]:
    """A store in a bucket of its own."""
    store = S3Store(f"test-{uuid4().hex}", "refit", s3_settings(s3_server))
    store.create_bucket()
    yield store
    store.close()
