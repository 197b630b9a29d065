"""Reviews in Chinese, as a shop exports them: GB 18030, Chinese names of file, columns and labels."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser

from data_checks.rows import ATTRIBUTE
from data_checks.sample_reviews import SampleOptions, generate
from flows.recipe import parse_recipe
from tasks.decide import decision_path, read_decision
from tasks.payload import open_folder
from tests.pictures import picture
from tests.tiny import write_base
from tests.world import TRAINING, World

pytest_plugins = ["tests.worlds", "tests.browser"]

LABELS = {"positive": "好评", "negative": "差评"}
NUM_ROWS = 640
PRAISE, BLAME = "好棒优佳", "差烂糟劣"
PRODUCTS = ("书", "手机", "耳机")
QUOTED = "「包装很好」，她说：\n“质量一般”，所以退了。"
"""A field with a line break, full-width commas and two kinds of quotation marks."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Columns 正文, 情感 and 品类 in GB 18030; one text comes with both labels."""
    path = tmp_path_factory.mktemp("shop") / "评论.csv"
    rows = [row for row in generate(SampleOptions(num=8000)) if row["language"] == "zh"]
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["正文", "情感", "品类"])
        writer.writerows([r["text"], LABELS[r["label"]], r["product"]] for r in rows[:NUM_ROWS])
        writer.writerows([[QUOTED, "差评", "书"], [QUOTED, "好评", "书"]])
    return path


def test_a_chinese_set_goes_through_to_a_page_that_can_be_read(
    shop: Path, files: Path, prefect_server: None, browser: Browser, tmp_path: Path
) -> None:
    world = World(tmp_path / "home", files)
    recipe = parse_recipe(
        {
            "name": "shop",
            "data": {
                "source": str(shop), "encoding": "gb18030", "text": "正文", "label": "情感",
                "attributes": ["品类"],
            },
            "base": {"scratch": {"architecture": "bert", "layers": 2, "width": 64, "heads": 2,
                                 "vocabulary": 700}},
            "train": {"epochs": 6, "learning_rate": 0.002, "max_length": 96},
            "gate": {"minimum": 0.5, "min_items": 50, "slices": {"columns": ["label", "品类"]}},
        }
    )  # fmt: skip
    result = world.run(recipe)
    assert result.outcome == "refused"  # 448 rows are too few to beat a bag of words
    tab = browser.new_page(viewport={"width": 1280, "height": 1000})
    tab.goto(Path(result.report_path).as_uri())
    shown = tab.locator("body").inner_text()
    picture(tab, "chinese")
    assert "\ufffd" not in shown
    assert all(word in shown for word in (*LABELS.values(), "我不觉得"))
    assert "评论.csv" in (tab.locator("body").text_content() or "")  # folded up
    assert "conflicting_labels 2" in " ".join(shown.split())
    assert "judged from the second champion on" in shown, "品类 is declared as a slice"
    data = open_folder(world.store, f"data/{result.data_key}", world.place.cache)
    quarantine = pd.read_parquet(data / "quarantine.parquet")
    assert set(quarantine["text"]) == {QUOTED}
    tab.close()


def write_agreement(path: Path, num_rows: int) -> None:
    """Good where what is said of both ends agrees, so that no bag of signs can learn it."""
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["正文", "情感", "品类"])
        for i in range(num_rows):
            left, right = i % 2, i // 2 % 2
            words = (
                (PRAISE if left else BLAME)[i // 4 % 4],
                (PRAISE if right else BLAME)[i // 16 % 4],
            )
            number = i * 7919 % 10007
            text = f"{words[0]}单号{number}的{words[1]}"
            label = LABELS["positive" if left == right else "negative"]
            writer.writerow([text, label, PRODUCTS[i % 3]])


@pytest.mark.slow
def test_a_second_model_is_judged_on_slices_with_chinese_names(
    prefect_server: None, tmp_path: Path
) -> None:
    write_agreement(tmp_path / "评论.csv", 1400)
    write_base(tmp_path / "base", words=sorted({*PRAISE, *BLAME, *"单号的"}))
    world = World(tmp_path / "home", tmp_path)
    values = {
        "name": "shop",
        "data": {
            "source": str(tmp_path / "评论.csv"), "encoding": "gb18030", "text": "正文",
            "label": "情感", "attributes": ["品类"],
        },
        "checks": {"max_dropped_share": 0.3},
        "split": {"test": 0.2, "validation": 0.1},
        "base": {"model": str(tmp_path / "base")},
        "train": TRAINING | {"epochs": 10},
        "gate": {"minimum": 0.7, "min_items": 100, "slices": {"columns": ["label", "品类"]}},
    }  # fmt: skip
    first = world.run(parse_recipe(values))
    assert first.outcome == "promoted", first.summary
    second = world.run(parse_recipe(values, ["train.epochs=1", "train.learning_rate=1.0e-5"]))
    assert second.outcome == "refused", second.summary

    # The split's parts share no item and no group, have every label, and are as large as was asked.
    data = world.data(parse_recipe(values))
    parts = {
        ref.split: pd.read_parquet(
            open_folder(world.store, ref.key, tmp_path / "cache") / f"{ref.split}.parquet"
        )
        for ref in data.splits
    }
    assert list(parts) == ["train", "validation", "test"]
    num_rows = sum(map(len, parts.values()))
    for column in ("item_id", "group", "text"):
        assert len(set().union(*(part[column] for part in parts.values()))) == num_rows, column
    for name, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert len(parts[name]) / num_rows == pytest.approx(share, abs=0.05), name
        counts = parts[name]["label"].value_counts()
        assert set(counts.index) == set(LABELS.values()), name
        assert data.split(name).num_by_label == dict(counts), name
        assert counts.min() / counts.sum() == pytest.approx(0.5, abs=0.1), name

    # Each slice has its own name and its own items, and is judged: a model that guesses harms them.
    file = world.path(decision_path("shop", second.decision_digest)).read_text("utf-8")
    decision = read_decision(world.store, "shop", second.decision_digest).decision
    found = {finding.rule: finding for finding in decision.findings}
    page = Path(second.report_path).read_text("utf-8")
    assert "\ufffd" not in page + file
    for column, name in (("品类", f"{ATTRIBUTE}品类"), ("label", "label")):
        counts = parts["test"][name].value_counts()
        slices = {rule for rule in found if rule.startswith(f"slice:{column}=")}
        assert slices == {f"slice:{column}={value}" for value in counts.index}
        for value, num_items in counts.items():
            finding = found[f"slice:{column}={value}"]
            assert finding.num_items == num_items
            assert finding.p_value is not None
            assert f"slice:{column}={value}" in file
            assert f"{column} = {value}" in page
    refused = {rule for rule, f in found.items() if f.state == "refused"}
    assert {f"slice:品类={value}" for value in PRODUCTS} <= refused
