"""Reviews in Chinese, as a shop exports them: GB 18030, Chinese names of file, columns and labels."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser

from data_checks.sample_reviews import SampleOptions, generate
from flows.recipe import parse_recipe
from tasks.payload import open_folder
from tests.pictures import picture
from tests.world import World

pytest_plugins = ["tests.worlds", "tests.browser"]

LABELS = {"positive": "好评", "negative": "差评"}
NUM_ROWS = 640
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
