"""Real trainings of the tiny base, short enough for every test of this room."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.base import Base, folder_digest, resolve_base
from models.config import BaseConfig, TrainConfig
from models.scoring import ScoringRequest
from models.task_code import Examples
from models.train import Trained, train
from records.scores import TestItems
from records.text import group_of
from tests.tiny import write_base, write_csv

LABELS = ("negative", "positive")
LEARNS = TrainConfig(
    epochs=2, learning_rate=0.003, batch_size=8, precision="fp32", max_length=32, seed=1
)
"""About a second; ends right on every held-out row."""


def make_base(folder: Path, **options: Any) -> Base:
    """The tiny base, written to `folder` and verified."""
    return resolve_base(BaseConfig(model=str(write_base(folder, **options))))


def rows(folder: Path, *, num_rows: int = 128, first: int = 0, noise: int = 0) -> Examples:
    """Rows `first` to `first + num_rows` of the data that the tiny base can learn."""
    path = write_csv(folder / "rows.csv", num_rows=num_rows, first=first, noise=noise)
    with path.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    return Examples([row["text"] for row in table], [row["label"] for row in table])


def turned(data: Examples) -> Examples:
    """The same texts, each with the other label."""
    return Examples(data.texts, [LABELS[y == "negative"] for y in data.labels])


def train_tiny(base: Base, out: Path, config: TrainConfig = LEARNS, **replaced: Any) -> Trained:
    """Train on 128 rows, validate on 64 others; `replaced` are arguments of `train`."""
    folder = out.parent
    arguments: dict[str, Any] = {
        "config": config,
        "base": base,
        "labels": LABELS,
        "training": rows(folder),
        "validation": rows(folder, num_rows=64, first=500),
        "lineage": frozenset({"row group"}),
        "out": out,
        "work": folder / "work",
    }
    return train(**(arguments | replaced))


def changed(config: TrainConfig = LEARNS, **fields: Any) -> TrainConfig:
    """`config` with other values, validated."""
    return TrainConfig.model_validate(config.model_dump() | fields)


def make_items(data: Examples) -> TestItems:
    """`data` as frozen test items."""
    return TestItems(
        item_ids=tuple(f"item{i}" for i in range(len(data.texts))),
        groups=tuple(map(group_of, data.texts)),
        labels=tuple(data.labels),
    )


def make_request(model: Path, data: Examples, test_path: Path) -> ScoringRequest:
    """A request to score `model` on `data`, whose texts go to `test_path` in another order."""
    items = make_items(data)
    order = np.random.default_rng(0).permutation(len(data.texts))
    columns = {"item_id": items.item_ids, "text": data.texts, "label": items.labels}
    table = pa.table({name: list(values) for name, values in columns.items()})
    pq.write_table(table.take(order), test_path)
    return ScoringRequest(
        role="challenger",
        model_path=str(model),
        model_digest=folder_digest(model),
        test_path=str(test_path),
        items=items,
    )
