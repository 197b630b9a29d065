"""refit listen: which recipes a bucket notification concerns, and when they are announced."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from deployments.exits import UsageError
from deployments.listen import MAX_BODY_BYTES, Doorbell, covers, listen, make_app
from deployments.local.radosgw import S3Server
from flows.recipe import Recipe, parse_recipe
from tasks.store import S3Store


def recipe(name: str, **data: str) -> Recipe:
    return parse_recipe({"name": name, "data": data, "gate": {"minimum": 0.8}, "watch": {}})


RECIPES = [
    recipe("folder", source="s3://rows/in/"),
    recipe("glob", train="s3://rows/*/new.csv", test="s3://rows/test.csv"),
    recipe("other", source="s3://others"),
]
S3 = {"Records": [{"eventName": "ObjectCreated:Put",
                   "s3": {"bucket": {"name": "rows"}, "object": {"key": "in/a+b%28c%29.csv"}}}]}  # fmt: skip
EVENT_BRIDGE = {
    "source": "aws.s3", "detail-type": "Object Created",
    "detail": {"bucket": {"name": "others"}, "object": {"key": "a b.csv"}},
}  # fmt: skip


def client(token: str = "", rung: list[str] | None = None) -> TestClient:
    doorbell = Doorbell(0, lambda name: None)
    if rung is not None:
        doorbell.ring = rung.append  # type: ignore[method-assign]
    return TestClient(make_app(RECIPES, doorbell, token))


@pytest.mark.parametrize(
    ("said", "concerned"),
    [
        (S3, ["folder"]),
        ({"Type": "Notification", "Message": json.dumps(S3)}, ["folder"]),
        (EVENT_BRIDGE, ["other"]),
        ({**EVENT_BRIDGE, "detail-type": "Object Deleted"}, []),
        ({"Event": "s3:TestEvent"}, []),
        ({"Records": [{**S3["Records"][0], "eventName": "s3:ObjectCreated:Copy"}]}, ["folder"]),
        ({"Records": [{**S3["Records"][0], "eventName": "ObjectRemoved:Delete"}]}, []),
    ],
)
def test_a_notification_concerns_the_recipes_that_read_there(
    said: Any, concerned: list[str]
) -> None:
    rung: list[str] = []
    answer = client(rung=rung).post("/", json=said)
    assert (answer.status_code, answer.json()) == (202, {"recipes": concerned})
    assert rung == concerned


@pytest.mark.parametrize(
    ("uri", "key", "expected"),
    [
        ("s3://rows/in/", "in/a.csv", True), ("s3://rows/in", "in/deep/a.csv", True),
        ("s3://rows/in", "inner/a.csv", False), ("s3://rows", "a.csv", True),
        ("s3://rows/in/a.csv", "in/a.csv", True), ("s3://rows/in/*.csv", "in/a.csv", True),
        ("s3://rows/in/*.csv", "in/a.parquet", False), ("s3://row", "in/a.csv", False),
    ],
)  # fmt: skip
def test_an_address_covers_what_a_run_would_read(uri: str, key: str, expected: bool) -> None:
    assert covers(uri, "rows", key) is expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Records": [{}]}', b'"x"', b"[" * 100_000])
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    assert client().post("/", content=body).status_code == 422


def test_a_body_without_end_is_refused() -> None:
    assert client().post("/", content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413


@pytest.mark.parametrize(
    ("headers", "auth", "code"),
    [
        ({}, None, 401),
        ({"authorization": "Bearer wrong"}, None, 401),
        ({"authorization": "Basic !"}, None, 401),
        ({"authorization": "Bearer s3cret"}, None, 202),
        ({}, ("minio", "s3cret"), 202),
        ({}, ("s3cret", "wrong"), 401),
    ],
)
def test_a_token_is_asked_for(headers: dict[str, str], auth: Any, code: int) -> None:
    rung: list[str] = []
    answer = client("s3cret", rung).post("/", json=S3, headers=headers, auth=auth)
    assert (answer.status_code, rung) == (code, ["folder"] if code == 202 else [])


def test_other_machines_need_a_token_and_somebody_must_be_concerned() -> None:
    with pytest.raises(UsageError, match="set REFIT_LISTEN_TOKEN first"):
        listen(RECIPES, host="0.0.0.0", port=0, quiet_s=0, token="")
    with pytest.raises(UsageError, match="no recipe has both"):
        listen([recipe("local", source="rows.csv")], host="127.0.0.1", port=0, quiet_s=0, token="")


def test_many_notifications_ring_once_and_a_fault_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deployments.listen.AGAIN_S", 0.1)
    announced: list[str] = []

    def announce(name: str) -> None:
        announced.append(name)
        if len(announced) == 1:
            raise ConnectionError("Prefect is away")

    doorbell = Doorbell(0.4, announce)
    with doorbell.attended():
        for _ in range(8):
            doorbell.ring("folder")
            time.sleep(0.05)
        assert announced == []
        time.sleep(1.2)
    assert announced == ["folder", "folder"], "once, and once more after the fault"


@pytest.mark.service
def test_a_real_s3_server_rings(s3_server: S3Server, s3_store: S3Store) -> None:
    """Ceph's own bucket notifications. It sends a token over TLS only, so there is none here."""
    made = recipe("fed", source=f"s3://{s3_store.bucket}/in/")
    announced: list[str] = []
    doorbell = Doorbell(0.2, announced.append)
    topics = topics_of(s3_server)
    with serving(make_app([made], doorbell, "")) as port, doorbell.attended():
        endpoint = {"push-endpoint": f"http://127.0.0.1:{port}/"}
        topic = topics.create_topic(Name="listen", Attributes=endpoint)["TopicArn"]
        rule = {"Id": "all", "TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
        s3_store._client.put_bucket_notification_configuration(
            Bucket=s3_store.bucket, NotificationConfiguration={"TopicConfigurations": [rule]}
        )
        bucket = S3Store(s3_store.bucket, "", s3_store.settings)
        bucket.write("elsewhere/a.csv", b"text\n")
        bucket.write("in/a file.csv", b"text\n")
        deadline = time.monotonic() + 30
        while not announced:
            assert time.monotonic() < deadline, "S3 did not call"
            time.sleep(0.05)
        bucket.close()
    assert announced == ["fed"]


def topics_of(server: S3Server) -> Any:
    """Where Ceph keeps the topics of notifications: the same server, by the protocol of SNS."""
    return boto3.client(
        "sns", endpoint_url=server.endpoint, region_name="us-east-1",
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
    )  # fmt: skip


@contextmanager
def serving(app: FastAPI) -> Iterator[int]:
    """A real server; yields its port."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
