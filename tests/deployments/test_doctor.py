"""doctor: what is well, what is not, and how to mend it."""

import http.server
import json
import socket
import threading
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement

from deployments.access import doors, open_doors
from deployments.doctor import Finding, _tried, judge_version
from deployments.local.stack import Stack
from flows.settings import load_place
from tasks.place import Place
from tests.client_of import client_of
from tests.terminal import terminal

LOOKED_AT = {"python", "torch", "prefect", "mlflow", "store", "base model", "processor"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.150.0", Finding("fastapi", True, "0.150.0")),
        ("0.155.1", Finding("fastapi", False, "0.155.1", "pip install -c constraints.txt")),
        ("", Finding("fastapi", False, "not installed", "make install")),
    ],
)
def test_version_outside_its_range_says_how_to_mend_it(version: str, expected: Finding) -> None:
    found = judge_version(Requirement("fastapi>=0.139,<0.151"), version)
    assert found[:3] == expected[:3]
    assert found.mend.startswith(expected.mend)
    assert bool(found.mend) is not found.is_fine


def test_no_finding_holds_a_password() -> None:
    def look() -> str:
        raise ConnectionError("https://ann:s3cret@host/api does not answer")

    found = [
        _tried("mlflow", lambda: "postgresql://ann:s3cret@db/mlflow: 2 registered models", ""),
        _tried("mlflow", look, "check MLFLOW_TRACKING_URI"),
    ]
    assert [finding.found for finding in found] == [
        "postgresql://db/mlflow: 2 registered models",
        "ConnectionError: https://host/api does not answer",
    ]


@pytest.mark.slow
def test_a_healthy_home_is_all_well(tmp_path: Path) -> None:
    with terminal(tmp_path) as session:
        table, document = session.run("doctor"), session.run("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(document.out)}
    assert set(findings) >= LOOKED_AT
    assert [name for name, finding in findings.items() if not finding["is_fine"]] == []
    assert "conditional writes hold" in findings["store"]["found"]
    assert "53aa5117" not in findings["base model"]["mend"]
    assert (table.code, document.code) == (0, 0)
    assert "✗" not in table.out
    assert not (tmp_path / "home" / "store" / "ledger").exists()


@pytest.mark.slow
def test_what_does_not_answer_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    nowhere = "http://127.0.0.1:9"
    with terminal(
        tmp_path,
        REFIT_STORE=str(tmp_path / "file" / "store"),
        MLFLOW_TRACKING_URI=nowhere,
        PREFECT_API_URL=f"{nowhere}/api",
    ) as session:
        done = session.run("doctor", "--json")
    broken = {f["what"]: f for f in json.loads(done.out) if not f["is_fine"]}
    assert done.code == 1
    assert {name: f["mend"].split()[1].strip(",") for name, f in broken.items()} == {
        "store": "REFIT_STORE",
        "mlflow": "MLFLOW_TRACKING_URI",
        "prefect": "PREFECT_API_URL",
    }
    assert nowhere in broken["prefect"]["found"]
    assert "Traceback" not in done.err


class _Server(http.server.BaseHTTPRequestHandler):
    """Answers everybody, or only whoever brings a password."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def own_address() -> str:
    """An address of this machine that others can reach; the test skips where there is none."""
    for addresses in psutil.net_if_addrs().values():
        for found in addresses:
            if found.family == socket.AF_INET and not found.address.startswith("127."):
                return found.address
    pytest.skip("this machine has no address but the loopback's")


@pytest.mark.parametrize("status", [200, 401, 403])
def test_servers_that_let_strangers_in_are_warned_of_where_others_can_reach_them(
    status: int, tmp_path: Path
) -> None:
    handler = type("Handler", (_Server,), {"status": status})
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def found(host: str) -> list[str]:
            url = f"http://{host}:{server.server_port}"
            place = Place(
                home=str(tmp_path), store_uri="s3://bucket/store", s3_endpoint_url=url,
                tracking_uri=url, is_tracking_embedded=False,
            )  # fmt: skip
            return [door.service for door in open_doors(place, f"{url}/api")]

        far, near = found(own_address()), found("localhost")
        server.shutdown()
    assert near == []
    assert far == (["prefect", "mlflow", "store"] if status == 200 else [])


@pytest.mark.slow
@pytest.mark.service
def test_real_servers_without_passwords_answer_a_stranger_and_s3_does_not(
    real_stack: Stack,
) -> None:
    """With passwords: see tests/behaviour/test_guarded_stack.py."""
    with client_of(real_stack.environment()):
        found = list(doors(load_place(), real_stack.prefect_url))
    assert [(door.service, door.is_open) for door in found] == [
        ("prefect", True), ("mlflow", True), ("store", False),
    ]  # fmt: skip


def test_a_warning_is_marked_and_fails_nothing() -> None:
    marks = [
        Finding("a", True, "").mark,
        Finding("a", True, "", "mend").mark,
        Finding("a", False, "", "m").mark,
    ]
    assert marks == ["✓", "!", "✗"]
