"""Draws the pictures of docs/theory.md: `python docs/theory/draw.py [FOLDER]`.

The curves are read from the schedules that training uses, the positions from Marian's own table.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from models.config import TrainConfig  # noqa: E402
from models.schedule import learning_rates  # noqa: E402

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 260, 46, 34, 14, 120
NUM_STEPS = 200
COLOURS = ("#1b6ca8", "#b3541e", "#2e7d4f", "#7a4fa3")


def main(folder: Path) -> None:
    """Write the SVG files."""
    folder.mkdir(parents=True, exist_ok=True)
    rates = {
        name: learning_rates(
            TrainConfig.model_validate({"schedule": name, "learning_rate": 1, "warmup_ratio": 0.1}),
            NUM_STEPS,
        )
        for name in ("linear", "cosine", "inverse_sqrt", "constant")
    }
    (folder / "schedules.svg").write_text(
        lines(rates, "Learning rate over the steps, as a share of train.learning_rate", "step"),
        "utf-8",
    )
    (folder / "positions.svg").write_text(
        lines(sines(), "Sinusoidal positions of width 16: four columns of the table", "position"),
        "utf-8",
    )


def sines() -> dict[str, list[float]]:
    """Four columns of the table that Marian really uses, by their place in it."""
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    table = MarianSinusoidalPositionalEmbedding(60, 16).create_weight()
    return {f"column {c}": table[:, c].tolist() for c in (1, 3, 9, 11)}


def lines(curves: dict[str, Sequence[float]], title: str, unit: str) -> str:
    """Curves over 0, 1, 2, ... as one SVG, readable on light and dark pages."""
    low = min(0.0, *(min(values) for values in curves.values()))
    high = max(max(values) for values in curves.values())
    last = max(len(values) for values in curves.values()) - 1

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / last
        down = TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / (high - low)
        return f"{across:.1f},{down:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for tick in (low, (low + high) / 2, high):
        x, y = place(0, tick).split(",")
        parts.append(
            f'<line x1="{x}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end" fill="#444">{round(tick, 2) + 0:g}</text>'
        )
    for tick in range(0, last + 2, max(1, (last + 1) // 4)):
        x, y = place(min(tick, last), low).split(",")
        parts.append(
            f'<text x="{x}" y="{float(y) + 16:.1f}" text-anchor="middle" fill="#444">{tick}</text>'
        )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end" fill="#444">{unit}</text>'
    )
    for i, (name, values) in enumerate(curves.items()):
        points = " ".join(place(x, y) for x, y in enumerate(values))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[i]}" stroke-width="2"/>'
            f'<text x="{WIDTH - RIGHT + 10}" y="{TOP + 16 + 20 * i}" fill="{COLOURS[i]}">'
            f"{escape(name)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
