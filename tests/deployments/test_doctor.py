"""doctor: what is well, what is not, and how to mend it."""

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deployments.doctor import Finding, _tried, judge_version
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
