"""Who may write to the store may append to the ledger, and neither overwrite nor delete in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from deployments.local import radosgw
from deployments.local.processes import Processes
from deployments.local.radosgw import S3Server
from records.ledger import LedgerEntry
from tasks.ledger import append, history, verify
from tasks.objects import AccessDenied
from tasks.store import ConditionalWriteIgnored, S3Store
from tests.services import s3_settings

FOLDER = Path(__file__).parents[2] / "deployments" / "s3"
NAME = "reviews"


class Buckets(NamedTuple):
    """One bucket in two hands."""

    owner: S3Store
    pipeline: S3Store


def policy(name: str, bucket: str, pipeline: str) -> dict[str, Any]:
    text = (FOLDER / name).read_text("utf-8")
    filled: dict[str, Any] = json.loads(
        text.replace("BUCKET", bucket).replace("PIPELINE", pipeline)
    )
    return filled


@pytest.fixture(params=["unversioned", "versioned"])
def buckets(
    request: pytest.FixtureRequest, s3_server: S3Server, tmp_path: Path
) -> Iterator[Buckets]:
    """The store's bucket under the policy for servers other than AWS."""
    bucket, user = f"rights-{uuid4().hex}", f"user{uuid4().hex}"
    owner = S3Store(bucket, "store", s3_settings(s3_server))
    owner.create_bucket()
    if request.param == "versioned":
        owner._client.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    rules = policy("ledger-versioned.json", bucket, f"arn:aws:iam:::user/{user}")
    owner._client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(rules))
    with Processes(tmp_path) as processes:
        other = radosgw.add_user(s3_server, user, processes)
    pipeline = S3Store(bucket, "store", s3_settings(other))
    yield Buckets(owner, pipeline)
    pipeline.close()
    owner.close()


def entry(number: int) -> LedgerEntry:
    return LedgerEntry(
        sequence=0, previous_hash="", action="promote", version=str(number),
        model_digest=f"m{number}", model_uri=f"models/m{number}", decision_digest=f"d{number}",
        actor="ann", time="2026-01-01T00:00:00Z",
    )  # fmt: skip


@pytest.mark.service
def test_the_pipeline_appends_and_cannot_delete(buckets: Buckets) -> None:
    store = buckets.pipeline
    first = append(store, NAME, entry(1), decided_against=None)
    second = append(store, NAME, entry(2), decided_against=first)
    key = f"ledger/{NAME}/{second.sequence:012d}.json"
    with pytest.raises(AccessDenied):
        store.delete(key)
    store.write("cache/a", b"x")
    store.delete("cache/a")
    assert history(store, NAME) == (first, second)
    assert verify(store, NAME) == []


@pytest.mark.service
@pytest.mark.parametrize("buckets", ["versioned"], indirect=True)
def test_a_ledger_written_anew_is_found_by_its_oldest_versions(buckets: Buckets) -> None:
    """A whole chain forged: each hash is right, and so is the chain; the versions remember."""
    store = buckets.pipeline
    first = append(store, NAME, entry(1), decided_against=None)
    append(store, NAME, entry(2), decided_against=first)
    keys = list(store.list(f"ledger/{NAME}"))
    honest = {key: store.read(key) for key in keys}
    forged = append(store, "other", entry(3), decided_against=None)
    append(store, "other", entry(4), decided_against=forged)
    for key in keys:
        store.write(key, store.read(key.replace(NAME, "other")))
    assert history(store, NAME)[-1].model_digest == "m4"
    problems = verify(store, NAME)
    assert [problem.partition(" ")[0] for problem in problems] == keys
    assert all("was overwritten or deleted" in problem for problem in problems)
    check_versions_stay(store)
    for key, content in honest.items():
        store.write(key, content)  # the mend
    assert verify(store, NAME) == []


@pytest.mark.service
@pytest.mark.parametrize("buckets", ["versioned"], indirect=True)
def test_a_tail_that_its_owner_cut_is_found_by_its_versions(buckets: Buckets) -> None:
    first = append(buckets.pipeline, NAME, entry(1), decided_against=None)
    append(buckets.pipeline, NAME, entry(2), decided_against=first)
    buckets.owner.delete(f"ledger/{NAME}/000000000002.json")
    assert len(history(buckets.pipeline, NAME)) == 1
    (problem,) = verify(buckets.pipeline, NAME)
    assert "000000000002.json was overwritten or deleted" in problem


@pytest.mark.service
@pytest.mark.parametrize("buckets", ["versioned"], indirect=True)
def test_radosgw_drops_the_condition_in_versioned_buckets_and_the_probe_says_so(
    buckets: Buckets,
) -> None:
    """Measured with 16.2: there, versions and appends cannot be had together."""
    with pytest.raises(ConditionalWriteIgnored):
        buckets.owner.probe()


def test_the_policy_for_aws_asks_for_the_condition_on_every_write_to_the_ledger() -> None:
    rules = {
        s["Sid"]: s for s in policy("ledger-aws.json", "b", "arn:aws:iam::1:role/p")["Statement"]
    }
    others = policy("ledger-versioned.json", "b", "arn:aws:iam::1:role/p")["Statement"]
    asked = rules.pop("LedgerIsOnlyAppendedTo")
    assert list(rules.values()) == others
    assert (asked["Effect"], asked["Action"]) == ("Deny", "s3:PutObject")
    assert asked["Condition"] == {"Null": {"s3:if-none-match": "true"}}
    assert asked["Resource"] == "arn:aws:s3:::b/store/ledger/*"


def check_versions_stay(store: S3Store) -> None:
    """What somebody would try who has the pipeline's key and wants the first versions gone."""
    versions = store._client.list_object_versions(Bucket=store.bucket)["Versions"]
    for version in versions:
        if "/ledger/" in version["Key"]:
            with pytest.raises(ClientError, match="AccessDenied"):
                store._client.delete_object(
                    Bucket=store.bucket, Key=version["Key"], VersionId=version["VersionId"]
                )
    with pytest.raises(ClientError, match="AccessDenied"):
        store._client.delete_bucket_policy(Bucket=store.bucket)
