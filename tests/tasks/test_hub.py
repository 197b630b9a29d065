"""Datasets of the hub: pinned to a commit, or a branch that is followed; and a hub that is not there."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from data_checks.config import DataConfig
from records.watch import Seen
from tasks.hub import HubPlace, parse_hub_uri, with_label_names
from tasks.location import LocationError, UnreachableError
from tasks.place import Place
from tasks.sources import open_sources, source_marks
from tasks.watch import look
from tests.receiver import answering

COMMIT = "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb"
FOLLOWED = "hf://ann/rows@main?split=train&follow=1"


class Hub(ThreadingHTTPServer):
    """What the hub's API says of one dataset whose branch moves."""

    commit = "a" * 40


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Hub)
        is_known = self.path.partition("?")[0] == "/api/datasets/ann/rows/revision/main"
        self.send_response(200 if is_known else 404)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"id": "ann/rows", "sha": self.server.commit}).encode())

    def log_message(self, *args: Any) -> None:
        """Nothing on the tests' stderr."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub(("127.0.0.1", 0), _Handler) as server, answering(server):
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        yield server


def test_hub_uris_name_a_commit() -> None:
    assert parse_hub_uri(f"hf://stanfordnlp/sst2@{COMMIT}?config=default&split=validation") == (
        HubPlace("stanfordnlp/sst2", COMMIT, "default", "validation")
    )
    assert parse_hub_uri(f"hf://imdb@{COMMIT}").split == "train"
    with pytest.raises(LocationError, match=r"'main' is not pinned.*datasets/stanfordnlp/sst2/commits"):  # fmt: skip
        parse_hub_uri("hf://stanfordnlp/sst2@main")
    with pytest.raises(LocationError, match=r"'splt' does not exist.*not a dataset's name.*'' is not pinned"):  # fmt: skip
        parse_hub_uri("hf://a/b/c?splt=test")


def test_class_numbers_of_the_hub_come_as_names() -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features)
    rows = list(with_label_names(data.to_iterable_dataset(), "label"))
    assert [row["label"] for row in rows] == ["pos", "neg", None]


def test_a_hub_out_of_reach_is_said_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real request, to a port of this machine where nobody listens."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    config = DataConfig(source=f"hf://stanfordnlp/sst2@{COMMIT}", text="sentence")
    (source,) = open_sources(config, cache=tmp_path)
    start = time.monotonic()
    with pytest.raises(UnreachableError, match=r"cannot be reached \(ConnectError\); connect, or download"):  # fmt: skip
        list(source.rows())
    assert time.monotonic() - start < 30


def test_a_branch_is_followed_only_where_the_recipe_says_so() -> None:
    place = parse_hub_uri(FOLLOWED)
    assert place == HubPlace("ann/rows", "main", None, "train", is_followed=True)
    assert place.uri == FOLLOWED
    for uri, said in {
        f"hf://ann/rows@{COMMIT}?follow=1": "is no branch to follow",
        "hf://ann/rows@main?follow=yes": "follow='yes' means nothing.*'main' is not pinned",
        "hf://ann/rows?follow=1": "'' is no branch to follow",
    }.items():
        with pytest.raises(LocationError, match=said):
            parse_hub_uri(uri)


def test_what_is_read_is_named_by_the_commit_of_that_moment(hub: Hub, tmp_path: Path) -> None:
    config = DataConfig(source=FOLLOWED)
    for commit in ("a" * 40, "b" * 40):
        hub.commit = commit
        (source,) = open_sources(config, cache=tmp_path)
        assert source.uri == f"hf://ann/rows@{commit}?split=train"
    with pytest.raises(LocationError, match="ann/other@main: the hub answered 404"):
        open_sources(DataConfig(source="hf://ann/other@main?follow=1"), cache=tmp_path)


def test_a_look_sees_a_moved_branch_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    place = Place(home=str(tmp_path), store_uri=str(tmp_path / "store"), tracking_uri="")
    data = DataConfig(train=FOLLOWED, test=f"hf://ann/rows@{COMMIT}?split=test")
    seen = []
    for commit in ("a" * 40, "a" * 40, "b" * 40):
        hub.commit = commit
        marks, state = look.fn(place, "ann", data, 1, 0.0)
        seen.append(state)
        place.open().write(
            "watch/ann.json", Seen(snapshot_digest="s", marks_digest=marks).to_json()
        )
    assert seen == ["changed", "none", "changed"]
    assert source_marks(data) == {FOLLOWED: "b" * 40, data.test: ""}
