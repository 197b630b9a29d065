"""Train: a challenger for a train key, found in the store or made."""

import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from prefect import task

from models.base import Base, folder_digest, resolve_base
from models.blanks import check_metric
from models.config import TRAIN_VERSION, BaseConfig, ScratchConfig, TrainConfig
from models.device import training_identity
from models.languages import must_be_told, tell_languages
from models.progress import Progress
from models.task_code import Examples, task_code
from records.base import digest_of, file_sha256
from records.cost import Spent
from records.data import DataRef
from records.document import CurvePoint, TrainResult
from records.policy import Metric
from records.task import TASKS, Task
from tasks.budget import Allowance, Guard, is_like, spent_at
from tasks.check import read_split
from tasks.checkpoints import CheckpointWriter, delete_checkpoints, find_checkpoint
from tasks.decide import read_index
from tasks.kept import kept_task, was_found
from tasks.objects import Store
from tasks.payload import has_folder, open_folder, put_folder
from tasks.place import Place
from tasks.progress import shown_progress
from tasks.registry import Registry
from tasks.retries import RETRIED
from tasks.stamped import read_stamped, write_stamped

if TYPE_CHECKING:
    from models.train import Trained

log = logging.getLogger("refit")

NO_PART_OF_THE_KEY = {"checkpoint_every_s", "budget_s"}
"""Fields of TrainConfig that move no weight of a finished training."""


@task(name="choose-base", task_run_name="verify the base model", **RETRIED)
def base_digest(place: Place, base: BaseConfig, data: DataRef, metric: Metric) -> str:
    """Digest of the base model's files.

    Raises:
        UnknownBase: it is not what it should be.
        SettingExceedsModel: it has no such figure as the gate's `metric`.
    """
    found = find_base(place, base, data)
    check_metric("gate.metric", metric, found.path, found.uri)
    return found.digest


@task(name="find-base", task_run_name="look for the registered base", **RETRIED)
def check_registered(place: Place, base: BaseConfig) -> str:
    """Digest of a `models:/` base; raises RegistryError where it is not in the registry."""
    return Registry(place).digest_of_uri(base.model)


def find_base(place: Place, config: BaseConfig, data: DataRef) -> Base:
    """The base model on this machine's disk.

    `models:/name@alias` comes from the registry; `base.scratch` is made of the training split, once
    for a store. One of many languages is told the two of the data.
    """
    base = resolve_base(config, folder=_own_folder(place, config, data))
    return _told(place, base, data) if must_be_told(data.task, base.path) else base


def _own_folder(place: Place, config: BaseConfig, data: DataRef) -> Path | None:
    """Where the store or the registry has the base."""
    if config.scratch is not None:
        return _scratch_folder(place, config.scratch, data)
    if config.model.startswith("models:/"):
        return model_folder(place, f"models/{Registry(place).digest_of_uri(config.model)}")
    return None


def _told(place: Place, base: Base, data: DataRef) -> Base:
    """In a folder of the cache that links to the base's own files."""
    source, target = data.snapshot.source_language, data.snapshot.language
    folder = place.cache / "told" / digest_of([base.digest, str(base.path), source, target])
    if not folder.is_dir():
        with place.scratch() as scratch:
            tell_languages(base, source, target, scratch / "base")
            folder.parent.mkdir(exist_ok=True)
            with suppress(OSError):  # another run made it meanwhile
                (scratch / "base").rename(folder)
    return replace(base, path=folder, digest=folder_digest(folder))


def learnt_columns(task: Task) -> list[str]:
    """Columns of a split that hold texts: what is read, and what is to be written."""
    return ["text", "label"] if TASKS[task].has_written_answers else ["text"]


def _scratch_folder(place: Place, config: ScratchConfig, data: DataRef) -> Path:
    from models.scratch import scratch_key, write_scratch

    store, split = place.open(), data.split("train")
    learnt = learnt_columns(data.task)
    digest = digest_of([split.sha256, learnt[1:]]) if learnt[1:] else split.sha256
    prefix = f"bases/{scratch_key(config, digest)}"
    if not has_folder(store, prefix):
        log.info("from scratch: training a %s tokenizer, drawing weights", config.tokenizer)
        rows = read_split(store, split, place.cache)
        with place.scratch() as scratch:
            texts = (text for column in learnt for text in rows[column].dropna())
            write_scratch(config, texts, lineage_of(rows), scratch / "base")
            put_folder(store, prefix, scratch / "base")
    return open_folder(store, prefix, place.cache)


def train_key(data: DataRef, base_digest: str, config: TrainConfig) -> str:
    """Digest of everything that can move the trained weights."""
    return digest_of(
        [
            data.data_key,
            base_digest,
            config.model_dump(mode="json", exclude=NO_PART_OF_THE_KEY),
            TRAIN_VERSION,
            training_identity(config, task_code(data.task).training_modules),
        ]
    )


def cut_key(key: str, config: TrainConfig) -> str:
    """The train key of what `train.budget_s` cuts: another budget makes another model of `key`."""
    return digest_of([key, "cut", config.budget_s])


@kept_task(name="train", run_name="fine-tune the challenger")
def train_challenger(
    place: Place,
    name: str,
    data: DataRef,
    base: BaseConfig,
    config: TrainConfig,
    key: str,
    allowance: Allowance | None = None,
) -> TrainResult:
    """Fine-tune and store the challenger, or take the one that this key already made.

    A training that was killed goes on from its last whole checkpoint, in the same MLflow run. What
    `train.budget_s` cut has a train key of its own, so that only a run with the same budget takes it;
    its checkpoints stay, and a run with more time goes on from them.

    Raises:
        ModelError: a setting or the base model is wrong, or the training diverged.
        OverBudget: it would take more than the allowance, or has; a run with more goes on.
        TrainingInterrupted: SIGTERM came; a rerun goes on.
    """
    store = place.open()
    for done in (read_result(store, known) for known in (key, cut_key(key, config))):
        if done is not None and has_folder(store, done.model_key):
            was_found(f"this training was done before: model {done.model_digest[:8]}")
            return done
    found = find_base(place, base, data)
    start = find_checkpoint(store, key, place.cache)
    speed = _known_speed(store, name, found, config) if allowance else None
    guard = Guard(config, allowance, earlier=spent_at(start), speed=speed)
    with place.scratch() as scratch:
        out = scratch / "model"
        with Registry(place).training_run(
            experiment=name,
            train_key=key,
            params={**_flat("base", base), **_flat("train", config), "labels": len(data.labels)},
            tags={"refit.snapshot": data.snapshot.snapshot_digest, "refit.base": found.digest},
        ) as run:
            run.log_dataset(data)
            trained = _train(place, data, found, config, key, out, start, guard)
            run.log_points(trained.curve)
            result = _describe(trained, key, out, found, config, run.run_id, guard)
            run.tag("refit.is_cut", str(result.is_cut))
        # Nothing of this key in it: another key may make the same bytes, and they are one payload.
        put_folder(store, result.model_key, out)
    write_stamped(store, _result_key(result.train_key), result)
    if result.is_cut:
        log.warning("train.budget_s=%g ended the training after step %d; what it has learned is "
                    "judged, and marked", config.budget_s, result.num_steps)  # fmt: skip
    else:
        delete_checkpoints(store, key, place.cache)
    return result


def read_result(store: Store, train_key: str) -> TrainResult | None:
    """What a train key made; None where nothing was made yet."""
    key = _result_key(train_key)
    return read_stamped(store, key, TrainResult) if store.exists(key) else None


def model_folder(place: Place, model_key: str) -> Path:
    """A stored model's verified files on this machine."""
    return open_folder(place.open(), model_key, place.cache)


def examples_of(rows: pd.DataFrame) -> Examples:
    """Texts of a split, and what each should be answered."""
    return Examples(rows["text"].tolist(), rows["label"].tolist())


def _result_key(train_key: str) -> str:
    return f"trains/{train_key}.json"


def _train(
    place: Place,
    data: DataRef,
    base: Base,
    config: TrainConfig,
    key: str,
    out: Path,
    start: Path | None,
    guard: Guard,
) -> "Trained":
    from models.train import train  # seconds, which a run that trains nothing need not wait

    store = place.open()
    training = read_split(store, data.split("train"), place.cache)
    validation = read_split(store, data.split("validation"), place.cache)
    with shown_progress() as show, CheckpointWriter(store, key) as checkpoints:

        def on_progress(now: Progress) -> None:
            show(now)
            guard.step(now)

        def put(folder: Path) -> None:
            guard.note(folder)
            checkpoints.put(folder)

        return train(
            config=config,
            base=base,
            labels=data.labels,
            training=examples_of(training),
            validation=examples_of(validation),
            lineage=lineage_of(training) | lineage_of(validation),
            out=out,
            work=out.parent / "work",
            task=data.task,
            on_log=partial(_log_validation, config.metric),
            on_progress=on_progress,
            on_start=guard.start,
            on_checkpoint=put,
            resume_from=start,
        )


def _known_speed(store: Store, name: str, base: Base, config: TrainConfig) -> Spent | None:
    """What the last decided training like this one took; None where there is none."""
    results = (read_result(store, e.train_key) for e in reversed(read_index(store, name)))
    return next((r.spent for r in results if r and is_like(r, base.digest, config)), None)


def lineage_of(rows: pd.DataFrame) -> frozenset[str]:
    """The groups of rows, and the keys of their texts where something else groups them: a later
    test may be split by texts, or by other groups."""
    return frozenset(rows["group"]) | frozenset(rows["text_key"])


def _log_validation(metric: str, point: CurvePoint) -> None:
    """The figure that decides which weights are kept."""
    if point.name == f"validation_{metric}":
        name = point.name.replace("_", " ")
        log.info("step %d: %s %.4f", point.step, name, point.value)


def _describe(
    trained: "Trained",
    key: str,
    out: Path,
    base: Base,
    config: TrainConfig,
    run_id: str,
    guard: Guard,
) -> TrainResult:
    digest = digest_of({p.name: file_sha256(p) for p in sorted(out.iterdir())})
    return TrainResult(
        train_key=cut_key(key, config) if trained.is_cut else key,
        model_digest=digest,
        model_key=f"models/{digest}",
        base=base.uri,
        base_digest=base.digest,
        base_lineage_known=base.is_lineage_known,
        metric=config.metric,
        seed=config.seed,
        mlflow_run_id=run_id,
        strategy=config.strategy,
        spent=guard.spent,
        spent_before=guard.earlier if guard.earlier.wall_s else None,
        **vars(trained),
    )


def _flat(prefix: str, config: BaseConfig | TrainConfig) -> dict[str, object]:
    return {f"{prefix}.{name}": value for name, value in config.model_dump(mode="json").items()}
