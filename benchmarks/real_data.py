"""Real data beside published figures: `python -m benchmarks.real_data DATA [RECIPE ...] [--seeds 1 2 3]`.

Every run is the whole pipeline in a home of its own: checks, training, gate against the baseline,
registry, report. Settings were chosen on validation; each test split is scored once per seed.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

PUBLISHED = {
    "sentiment": "MiniLM-L6-H384 0.915 (unilm README); at least 0.90 is wanted",
    "questions": "DistilBERT 0.970 (HF model card); at least 0.96 is wanted",
    "banking": "DistilBERT 0.925, BERT-base 0.931 (HF model cards); at least 0.925 is wanted",
}
RECIPES = Path(__file__).parents[1] / "deployments" / "recipes"


def main() -> None:
    """Run recipes x seeds and print one line each, then the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with sst2_phrases/, trec/, banking77/")
    parser.add_argument("recipes", nargs="*", default=list(PUBLISHED))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=Path(".refit/real_data"))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    for recipe in options.recipes:
        figures = [_run(recipe, seed, options) for seed in options.seeds]
        mean = statistics.mean(f["accuracy"] for f in figures)
        print(f"{recipe}: mean accuracy {mean:.4f} over {len(figures)} seeds; {PUBLISHED[recipe]}")


def _run(recipe: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    home = options.work / f"{recipe}-{seed}"
    command = [
        sys.executable, "-m", "deployments.cli", "run", str(RECIPES / f"{recipe}.yaml"), "--json",
        "--set", f"train.seed={seed}", *_paths(recipe, options.data),
    ]  # fmt: skip
    for override in options.overrides:
        command += ["--set", override]
    done = subprocess.run(
        ["env", f"REFIT_HOME={home}", *command], stdout=subprocess.PIPE, text=True
    )
    if done.returncode not in (0, 3):
        raise SystemExit(f"{recipe} with seed {seed} ended with exit code {done.returncode}")
    result = json.loads(done.stdout)
    document = json.loads((Path(result["report_path"]).parent / "document.json").read_text())
    figures = document["file"]["record"]["challenger"]["metrics"]
    train = document["train"]
    print(
        f"{recipe} seed {seed}: {result['outcome']}, accuracy {figures['accuracy']:.4f}, macro-F1 "
        f"{figures['macro_f1']:.4f}, validation {train['best_value']:.4f} at step "
        f"{train['best_step']}/{train['num_steps']}, {train['samples_per_s']:.0f} samples/s, "
        f"{train['wall_s']:.0f} s, {train['dtype']}",
        flush=True,
    )
    return {"accuracy": figures["accuracy"]}


def _paths(recipe: str, data: Path) -> list[str]:
    """The recipe's own relative paths, below another folder."""
    import yaml

    values = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text("utf-8"))["data"]
    return [
        part
        for split in ("train", "validation", "test")
        if split in values
        for part in ("--set", f"data.{split}={data / Path(values[split]).relative_to('data')}")
    ]


if __name__ == "__main__":
    main()
