"""MLflow: one run per train key, one version per digest, and the alias as a projection."""

import functools
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import quote

import mlflow
import requests
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.tracking.fluent import run_id_to_system_metrics_monitor
from mlflow.types import ColSpec, Schema

from records.address import without_userinfo
from records.cost import Spent
from records.data import DataRef
from records.document import CurvePoint
from records.ledger import LedgerEntry
from records.task import DEFAULT_TASK, TASKS, Task
from tasks.place import Place
from tasks.retries import RegistryUnreachable, may_pass, patience, patient

log = logging.getLogger("refit")

ALIAS = "champion"
LOST_RACES = ("BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")
"""What MLflow says to one of two who looked for a row, saw none and inserted it; the first is what it
makes of a database's integrity error."""
TAG_DIGEST = "refit.model_digest"
TAG_TRAIN_KEY = "refit.train_key"
TAG_HEAD = "refit.ledger_head"
CONSUMER_REQUIREMENTS = ("mlflow", "torch", "transformers")
MODELS_ROOM = Path(__file__).parents[1] / "models"
SHIPPED: dict[Task, tuple[str, str, str]] = {
    "chat": ("chatbot", "Chatbot.load", "str"),
    "language_modeling": ("language_model", "LanguageModel.load", "float"),
    "multilabel": ("tagger", "Tagger", "list[str]"),
    "translation": ("translator", "Translator", "str"),
}
"""Module whose source is logged with the model, what makes an answerer of a folder, what it answers."""
SERVED = """

import mlflow


class Served(mlflow.pyfunc.PythonModel):
    \"\"\"Answers texts as the gate saw them answered.\"\"\"

    def load_context(self, context):
        self.answer = {maker}(context.artifacts["model"])

    def predict(self, context, model_input: list[str], params=None) -> list[{answer}]:
        return self.answer(model_input)


mlflow.models.set_model(Served())
"""


class RegistryError(ValueError):
    """The registry does not hold what was asked of it."""


class _Placed(Protocol):
    @property
    def place(self) -> Place: ...


P = ParamSpec("P")
R = TypeVar("R")
Self_ = TypeVar("Self_", bound=_Placed)


def served(method: Callable[Concatenate[Self_, P], R]) -> Callable[Concatenate[Self_, P], R]:
    """A method that asks MLflow: it waits for a server that is away, and names it in the end.

    It asks once more where another process made the same row just then, and finds that one.
    """

    @functools.wraps(method)
    def asked(self: Self_, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return _past_a_race(functools.partial(method, self, *args, **kwargs))
        except (MlflowException, requests.RequestException) as exc:
            if not may_pass(exc):
                raise
            said = without_userinfo(str(exc)).splitlines()[0][:200]
            raise RegistryUnreachable(
                f"MLflow at {without_userinfo(self.place.tracking_uri)} fails; start it, or correct "
                f"MLFLOW_TRACKING_URI, and run again. It said: {said}"
            ) from exc

    return patient(asked)


def _past_a_race(call: Callable[[], R]) -> R:
    try:
        return call()
    except MlflowException as exc:
        if exc.error_code not in LOST_RACES:
            raise
    return call()


class Registry:
    """A thin, idempotent face of one MLflow server or database."""

    def __init__(self, place: Place) -> None:
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        address = full_address(place.tracking_uri)
        mlflow.set_tracking_uri(address)
        self.place = place
        self.client = MlflowClient(address)

    # Training runs

    @contextmanager
    def training_run(
        self, *, experiment: str, train_key: str, params: dict[str, Any], tags: dict[str, str]
    ) -> Iterator["TrainingRun"]:
        """The one run of a train key: found again, or created; system metrics are sampled in it."""
        run_id = self._begin(experiment, train_key, params, tags)
        try:
            yield TrainingRun(self, run_id)
        except BaseException:
            with patience(0), suppress(RegistryUnreachable):  # what happened is the news
                self._end(run_id, "FAILED")
            raise
        self._end(run_id, "FINISHED")

    @served
    def _begin(
        self, experiment: str, train_key: str, params: dict[str, Any], tags: dict[str, str]
    ) -> str:
        if mlflow.active_run() is not None:
            mlflow.end_run("FAILED")  # of a try that came half way
        experiment_id = self._experiment_id(experiment)
        found = self.client.search_runs(
            [experiment_id], f"tags.`{TAG_TRAIN_KEY}` = '{train_key}'", max_results=1
        )
        run = mlflow.start_run(
            run_id=found[0].info.run_id if found else None,
            experiment_id=experiment_id,
            run_name=f"{experiment} {train_key[:8]}",
            tags={TAG_TRAIN_KEY: train_key, **tags},
            log_system_metrics=True,
        )
        known = found[0].data.params if found else {}
        mlflow.log_params({name: p for name, p in params.items() if name not in known})
        return str(run.info.run_id)

    @served
    def _end(self, run_id: str, status: str) -> None:
        monitor = run_id_to_system_metrics_monitor.pop(run_id, None)
        if monitor is not None:
            monitor.finish()
        if mlflow.active_run() is not None:
            mlflow.end_run(status)
        else:  # MLflow forgets a run before it has told its server
            self.client.set_terminated(run_id, status)

    def _experiment_id(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self.place.is_tracking_embedded:
            location = (Path(self.place.home) / "mlartifacts" / name).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))

    @served
    def has_run(self, run_id: str) -> bool:
        """Whether the run is there: an MLflow restored from a backup knows nothing of later ones."""
        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as exc:
            if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    @served
    def log_artifacts(self, run_id: str, folder: Path, artifact_path: str) -> None:
        """Copy a folder's files into a run; a run that is gone is said and passed over."""
        if not self.has_run(run_id):
            log.warning("MLflow has no run %s any more; the page is in the store only", run_id)
            return
        self.client.log_artifacts(run_id, str(folder), artifact_path)

    @served
    def log_cost(self, run_id: str, spent: Spent) -> None:
        """Write what a decision took beside the training's own figures; a run that is gone has none."""
        if not self.has_run(run_id):
            return
        now_ms = int(time.time() * 1000)
        figures = spent.model_dump(exclude={"energy_method"})
        metrics = [Metric(f"cost_{name}", value, now_ms, 0) for name, value in figures.items()]
        tags = [RunTag("refit.energy_method", spent.energy_method)]
        self.client.log_batch(run_id, metrics=metrics, tags=tags)

    @served
    def run_url(self, run_id: str) -> str:
        """Page of a run, where MLflow is a server; empty for an embedded database."""
        if not self.has_pages or not self.has_run(run_id):
            return ""
        run = self.client.get_run(run_id)
        return f"{self.place.tracking_uri}/#/experiments/{run.info.experiment_id}/runs/{run_id}"

    @property
    def has_pages(self) -> bool:
        """Whether people can open what it holds in a browser."""
        return self.place.tracking_uri.startswith("http")

    def artifact_url(self, run_id: str, artifact_path: str) -> str:
        """Page that shows a run's artifact; of an embedded database what MLflow's client loads it by.

        Empty where the run is gone.
        """
        if not run_id or not self.has_run(run_id):
            return ""
        page = self.run_url(run_id)
        return (
            f"{page}/artifacts/{quote(artifact_path)}"
            if page
            else f"runs:/{run_id}/{artifact_path}"
        )

    def version_url(self, name: str, version: str) -> str:
        """Page of a model version; empty for an embedded database, or for no version."""
        if not self.has_pages or not version:
            return ""
        return f"{self.place.tracking_uri}/#/models/{quote(name)}/versions/{version}"

    # Versions

    @served
    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, lowest first; empty where the model is unknown."""
        found = self.client.search_model_versions(f"name='{name}'")
        return sorted(found, key=lambda version: int(version.version))

    def find_version(self, name: str, model_digest: str) -> ModelVersion | None:
        """The lowest version of that digest: MLflow itself makes a second one of the same files."""
        return next(
            (v for v in self.versions(name) if v.tags.get(TAG_DIGEST) == model_digest), None
        )

    @served
    def register(
        self,
        *,
        name: str,
        model_path: Path,
        model_digest: str,
        run_id: str,
        description: str,
        tags: dict[str, str],
        task: Task = DEFAULT_TASK,
    ) -> str:
        """The version of this digest, logged and created where there is none yet.

        Args:
            name: registered model.
            model_path: verified folder of the model.
            model_digest: becomes a tag in the creation, never later.
            run_id: the training run that the logged model belongs to; empty or gone: a new run.
            description: the model card, Markdown.
            tags: searchable facts.
            task: what the model does, and so how a consumer loads it.

        Returns:
            The version's number.
        """
        known = self.find_version(name, model_digest)
        if known is not None:
            return str(known.version)
        run_id = run_id if run_id and self.has_run(run_id) else ""
        model_id = self._log_model(name, model_path, run_id, task, description)
        self._create_model(name)
        version = self.client.create_model_version(
            name,
            f"models:/{model_id}",
            run_id=run_id or None,
            model_id=model_id,  # a server refuses the source without it, a database does not
            tags={TAG_DIGEST: model_digest, **tags},
            description=description[:100_000],
        )
        return str((self.find_version(name, model_digest) or version).version)

    def _create_model(self, name: str) -> None:
        try:
            self.client.create_registered_model(name)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _log_model(self, name: str, model_path: Path, run_id: str, task: Task, card: str) -> str:
        # Without a run of its own, MLflow would write into ./mlruns, wherever this process stands.
        experiment_id = None if run_id else self._experiment_id(name)
        with mlflow.start_run(run_id=run_id or None, experiment_id=experiment_id):
            if task in SHIPPED:
                info = _log_code(model_path, *SHIPPED[task], TASKS[task].example)
            else:
                info = _log_classifier(model_path, TASKS[task].example, card)
        return str(info.model_id)

    # The alias, a projection of the ledger

    @served
    def alias_version(self, name: str) -> str:
        """Version that the alias names; empty for none."""
        try:
            model = self.client.get_registered_model(name)
        except MlflowException as exc:
            if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
                return ""
            raise
        return str(model.aliases.get(ALIAS, ""))

    @served
    def set_alias(self, name: str, version: str) -> None:
        """Point the alias at a version; the empty version removes it."""
        if version:
            self.client.set_registered_model_alias(name, ALIAS, version)
        else:
            self.client.delete_registered_model_alias(name, ALIAS)

    @served
    def mirror_head(self, name: str, entry: LedgerEntry) -> None:
        """Note the ledger's head at the registered model, against a ledger whose tail was cut."""
        head = json.dumps({"sequence": entry.sequence, "hash": entry.digest})
        try:
            self.client.set_registered_model_tag(name, TAG_HEAD, head)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._create_model(name)  # a database that was emptied; a retired model has no version
            self.client.set_registered_model_tag(name, TAG_HEAD, head)

    @served
    def mirrored_head(self, name: str) -> tuple[int, str]:
        """(sequence, hash) last mirrored; (0, "") for none."""
        try:
            tags = self.client.get_registered_model(name).tags
        except MlflowException as exc:
            if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
                return 0, ""
            raise
        if TAG_HEAD not in tags:
            return 0, ""
        head = json.loads(tags[TAG_HEAD])
        return int(head["sequence"]), str(head["hash"])

    def download_version(self, name: str, version: str, folder: Path) -> Path:
        """The files of a version as one transformers folder; raises RegistryError where they cannot be had."""
        try:
            found = self.client.get_model_version(name, version)
            path = mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{name}/{found.version}", dst_path=str(folder)
            )
        except (MlflowException, OSError) as exc:
            raise RegistryError(f"models:/{name}/{version} cannot be fetched: {exc}") from exc
        return Path(path)

    @served
    def count_models(self) -> int:
        """Number of registered models; proves that the registry answers."""
        return len(self.client.search_registered_models(max_results=1000))

    @served
    def tag_version(self, name: str, version: str, key: str, value: str) -> None:
        """Set one tag of a version that is there already."""
        self.client.set_model_version_tag(name, version, key, value)

    @served
    def digest_of_uri(self, uri: str) -> str:
        """Model digest behind `models:/name@alias` or `models:/name/version`.

        Raises:
            RegistryError: there is no such version, or it was not registered by refit.
        """
        name, _, alias = uri.removeprefix("models:/").partition("@")
        try:
            if alias:
                found = self.client.get_model_version_by_alias(name, alias)
            else:
                found = self.client.get_model_version(*name.split("/", 1))
        except (MlflowException, TypeError) as exc:
            if may_pass(exc):
                raise
            raise RegistryError(f"{uri} is not in the registry: {exc}") from exc
        if TAG_DIGEST not in found.tags:
            raise RegistryError(
                f"{uri} is version {found.version}, which refit did not register; "
                f"take it in with `refit adopt {found.name} {found.version}`"
            )
        return str(found.tags[TAG_DIGEST])


def full_address(address: str) -> str:
    """The address as MLflow's own variable has it, with a database's password where there is one."""
    own = str(mlflow.get_tracking_uri())
    return own if without_userinfo(own) == address else address


def _log_classifier(model_path: Path, example: str, card: str) -> Any:
    """As MLflow's transformers flavour, which consumers load as a pipeline."""
    from huggingface_hub import ModelCard

    from models.classification import load_pipeline

    text = ColSpec("string")
    answer = Schema([ColSpec("string", "label"), ColSpec("double", "score")])
    return mlflow.transformers.log_model(
        transformers_model=load_pipeline(model_path),
        task="text-classification",
        name="model",
        signature=ModelSignature(inputs=Schema([text]), outputs=answer),
        input_example=[example],
        pip_requirements=list(CONSUMER_REQUIREMENTS),
        model_card=ModelCard(f"---\nlicense: other\n---\n{card}"),
        # pyfunc and `mlflow models serve` cut long texts where training cut them
        model_config={"truncation": True},
    )


def _log_code(model_path: Path, module: str, maker: str, answer: str, example: str) -> Any:
    """As code and folder: MLflow's transformers flavour has no pipeline for what is not a label."""
    needed = [*CONSUMER_REQUIREMENTS]
    if list(model_path.glob("*.spm")) or (model_path / "spiece.model").is_file():
        needed.append("sentencepiece")
    with TemporaryDirectory() as folder:
        script = Path(folder) / f"{module}.py"
        source = (MODELS_ROOM / script.name).read_text("utf-8")
        served = SERVED.replace("{maker}", maker).replace("{answer}", answer)
        script.write_text(source + served, "utf-8")
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(script),
            artifacts={"model": str(model_path)},
            input_example=[example],
            pip_requirements=needed,
        )


class TrainingRun:
    """Where a training's figures go, in batches: a call per point would cost more than the step."""

    def __init__(self, registry: Registry, run_id: str) -> None:
        self.place = registry.place
        self.client = registry.client
        self.run_id = run_id

    @served
    def log_points(self, points: Sequence[CurvePoint]) -> None:
        """Write the points of a curve that are not there yet: a killed run may have written some."""
        now_ms = int(time.time() * 1000)
        known = {
            (name, metric.step)
            for name in {point.name for point in points}
            for metric in self.client.get_metric_history(self.run_id, name)
        }
        metrics = [
            Metric(point.name, point.value, now_ms, point.step)
            for point in points
            if (point.name, point.step) not in known
        ]
        for start in range(0, len(metrics), 900):  # MLflow takes at most 1,000 a call
            self.client.log_batch(self.run_id, metrics=metrics[start : start + 900])

    @served
    def tag(self, name: str, value: str) -> None:
        """Set a tag of the run."""
        self.client.set_tag(self.run_id, name, value)

    @served
    def log_dataset(self, data: DataRef) -> None:
        """Name the data by digest; no row leaves the store."""
        snapshot = data.snapshot
        profile = {ref.split: {"rows": ref.num_rows, **ref.num_by_label} for ref in data.splits}
        dataset = Dataset(
            name=f"snapshot {snapshot.snapshot_digest[:8]}",
            digest=snapshot.snapshot_digest[:36],  # MLflow's limit; the whole one is in the source
            source_type="refit",
            source=json.dumps(
                {"snapshot": snapshot.snapshot_digest, "files": [f.uri for f in snapshot.files]}
            ),
            profile=json.dumps(profile),
        )
        tag = InputTag("mlflow.data.context", "training")
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [tag])])
