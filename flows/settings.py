"""The only place that reads the environment: where things are kept, and quiet defaults.

| variable | meaning | default |
|---|---|---|
| REFIT_HOME | local folder for everything embedded | `.refit` |
| REFIT_STORE | folder or `s3://bucket/prefix` | `$REFIT_HOME/store` |
| REFIT_S3_ENDPOINT_URL | S3 server other than AWS | none |
| REFIT_OUTAGE_S | seconds that a run waits for a service that is away | 120 |
| REFIT_SERVE_PASSWORD | what `refit serve` asks for | none: loopback only |
| REFIT_LISTEN_TOKEN | what `refit listen` asks for | none: loopback only |
| REFIT_JUDGE_KEY | key of the API in `gate.judge.url` | none: it is asked without one |
| REFIT_NOTIFY_URL | where `refit deploy` lets Prefect tell what happened: a webhook, or Apprise's mailto:// ... | nobody is told |
| REFIT_ACTOR | who acts, in ledger entries | the login name |
| MLFLOW_TRACKING_URI | MLflow server or database | SQLite in `$REFIT_HOME` |
| PREFECT_API_URL | Prefect server | a temporary one |

Credentials are never kept here: boto3, MLflow, Prefect and the hub take their own variables. A name
and password in MLFLOW_TRACKING_URI are moved to MLflow's; in the other addresses they are refused.
"""

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from records.address import holds_userinfo, userinfo, without_userinfo
from tasks.orchestrator import BEAT_S
from tasks.place import Place
from tasks.retries import MAX_OUTAGE_S, OUTAGE_S

QUIET = {
    "DO_NOT_TRACK": "1",
    # OpenMP's threads spin while they wait, by default for so long that two trainings on the same
    # cores starve each other: benchmarks/two_at_once.py.
    "GOMP_SPINCOUNT": "15000",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Its own seven retries take four minutes a call, and at a terminal somebody waits for them;
    # in a flow, tasks/retries.py comes on top.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # With a server, MLflow prints links among the JSON on stdout.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Its delays double from two seconds: six survive a minute for sure.
    "PREFECT_CLIENT_MAX_RETRIES": "6",
    # By its beats the reaper knows that a run lives; Prefect's own are three minutes apart.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(BEAT_S),
    "PREFECT_LOGGING_EXTRA_LOGGERS": "refit",
    # One "Finished in state Completed()" a task hides what a person wants to know.
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # The first start of a temporary server migrates a database: 20 s on a slow disk.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}

SAID_BY = {"GOMP_SPINCOUNT": "OMP_WAIT_POLICY"}
"""A quiet default -> another variable that says the same: where it is set, the default is left out."""

OWN_VARIABLES = {
    "REFIT_STORE": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "REFIT_S3_ENDPOINT_URL": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "PREFECT_API_URL": "PREFECT_API_AUTH_STRING=name:password",
}
"""Address: the variables that hold what nobody may see in it."""


class SettingsError(ValueError):
    """Variables that cannot be used; the message lists them all, without their values."""


def load_place() -> Place:
    """Where this process keeps and finds things.

    Raises:
        SettingsError: addresses with a name or password in them, which logs and pages would show,
            or a number that is none.
    """
    problems = [
        f"{name} holds a name or password, which logs would show; give it as {own}"
        for name, own in OWN_VARIABLES.items()
        if holds_userinfo(os.environ.get(name, ""))
    ]
    outage_s = _outage_s(problems)
    if problems:
        raise SettingsError("\n".join(problems))
    home = Path(os.environ.get("REFIT_HOME", ".refit")).expanduser().resolve()
    embedded = f"sqlite:///{home / 'mlflow.db'}"
    tracking_uri = _tracking_address(os.environ.get("MLFLOW_TRACKING_URI", embedded))
    return Place(
        home=str(home),
        store_uri=os.environ.get("REFIT_STORE", str(home / "store")),
        s3_endpoint_url=os.environ.get("REFIT_S3_ENDPOINT_URL"),
        tracking_uri=tracking_uri,
        is_tracking_embedded=tracking_uri == embedded,  # MLflow sets the variable when it is used
        outage_s=outage_s,
    )


def _tracking_address(uri: str) -> str:
    """The address alone. A server's name and password go to where MLflow looks for them by itself.

    A database's stay in MLflow's own variable, which the registry's adapter asks MLflow for.
    """
    address = without_userinfo(uri)
    if address != uri and uri.startswith(("http://", "https://")):
        name, password = userinfo(uri)
        os.environ["MLFLOW_TRACKING_USERNAME"] = name
        os.environ["MLFLOW_TRACKING_PASSWORD"] = password
        os.environ["MLFLOW_TRACKING_URI"] = address
    return address


def _outage_s(problems: list[str]) -> float:
    """Seconds; says so in `problems` where the variable holds no possible number of them."""
    text = os.environ.get("REFIT_OUTAGE_S", str(OUTAGE_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_OUTAGE_S:
        problems.append(
            f"REFIT_OUTAGE_S={text!r} is no number of seconds from 0 to {MAX_OUTAGE_S:.0f}"
        )
    return seconds


def prepare_environment(place: Place, *, console_level: str = "ERROR") -> None:
    """Set defaults that Prefect, MLflow, GX, PyTorch and others read at import; never overrides."""
    Path(place.home).mkdir(parents=True, exist_ok=True)
    for name, value in QUIET.items():
        if SAID_BY.get(name, name) not in os.environ:
            os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", console_level)
    has_profile = (Path.home() / ".prefect" / "profiles.toml").exists()
    if "PREFECT_API_URL" not in os.environ and not has_profile:
        os.environ.setdefault("PREFECT_HOME", str(Path(place.home) / "prefect"))


def clean_environment() -> dict[str, str]:
    """This process's variables for a child, with quiet defaults and without any service's address."""
    ours = ("PREFECT_", "MLFLOW_", "REFIT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **QUIET}


@contextmanager
def use_stack(variables: Mapping[str, str]) -> Iterator[None]:
    """Connect this process to other services until the block ends."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    before = dict(os.environ)
    os.environ.update(variables)
    settings = {
        setting: variables.get(setting.name)
        for setting in (PREFECT_API_URL, PREFECT_API_AUTH_STRING)
    }
    try:
        with temporary_settings(settings):  # Prefect read its variables when it was imported
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def use_home(home: Path) -> None:
    """Keep everything of this process, and only its own, in `home`: for the demo."""
    for name in ("REFIT_STORE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        os.environ.pop(name, None)
    os.environ["REFIT_HOME"] = str(home)
    os.environ["PREFECT_HOME"] = str(home.resolve() / "prefect")


def serve_password() -> str:
    """What `refit serve` asks for; empty: nothing."""
    return os.environ.get("REFIT_SERVE_PASSWORD", "")


def listen_token() -> str:
    """What `refit listen` asks for; empty: nothing."""
    return os.environ.get("REFIT_LISTEN_TOKEN", "")


def judge_key() -> str:
    """Key of the judge's API, a secret; empty: it is asked without one."""
    return os.environ.get("REFIT_JUDGE_KEY", "").strip()


def notify_url() -> str:
    """Where notifications go, a secret; empty: nowhere, unless the recipe names a block."""
    return os.environ.get("REFIT_NOTIFY_URL", "")


def actor() -> str:
    """Who acts, for the ledger."""
    if name := os.environ.get("REFIT_ACTOR"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
