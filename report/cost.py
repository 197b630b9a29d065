"""What a decision took: each step, all of them, the training's speed, and the model in use."""

from records.cost import Spent, StepCost
from records.document import DecisionDocument
from report.charts import bar
from report.figures import count, plain, seconds, size
from report.html import Html, join, note, own_text, pairs, table

Row = tuple[str, str | None]


def cost(document: DecisionDocument) -> Html:
    """Time, memory, tokens and energy of each step, training speed, and what the model costs to run."""
    if not document.costs:
        return join(note("No cost was measured."), pairs(_training(document) + _in_use(document)))
    rows = [*_totals(document), *_training(document), *_in_use(document)]
    return join(_steps(document.costs), pairs(rows))


def cost_sentence(spent: Spent) -> str:
    """All of it on one line; what is nothing is left out."""
    parts = [seconds(spent.wall_s), f"{seconds(spent.cpu_s)} of processor"]
    parts += [f"{seconds(spent.gpu_s)} of GPU"] if spent.gpu_s else []
    parts += [f"{count(spent.num_tokens)} tokens"] if spent.num_tokens else []
    if spent.energy_method:
        parts.append(f"{plain(spent.energy_wh)} Wh ({spent.energy_method})")
    return ", ".join(parts)


def _steps(costs: tuple[StepCost, ...]) -> Html:
    longest = max(c.wall_s for c in costs) or 1.0
    columns = {
        "Time": [seconds(c.wall_s) for c in costs],
        "Processor time": [seconds(c.cpu_s) for c in costs],
        "GPU time": [seconds(c.gpu_s) if c.gpu_s else "" for c in costs],
        "Tokens trained on": [count(c.num_tokens) if c.num_tokens else "" for c in costs],
        "Energy": [f"{plain(c.energy_wh)} Wh" if c.energy_method else "" for c in costs],
        "Peak memory so far": [size(c.peak_memory_bytes) for c in costs],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    names = [own_text(c.step) for c in costs]
    bars = [bar(c.wall_s / longest, f"{c.step}: {seconds(c.wall_s)}") for c in costs]
    rows = list(zip(names, *shown.values(), bars, strict=True))
    numeric = frozenset(range(1, len(shown) + 1))
    return table(("Step", *shown, "Time, drawn"), rows, numeric=numeric, class_="bars")


def _totals(document: DecisionDocument) -> list[Row]:
    rows: list[Row] = [("All steps", _without_energy(document.total))]
    if document.earlier.wall_s:
        said = _without_energy(document.earlier)
        rows = [
            ("Its training, in earlier runs", said),
            ("All steps, earlier runs included", rows[0][1]),
        ]
    if document.total.energy_method:
        method = document.total.energy_method
        rows.append(("Energy", f"{plain(document.total.energy_wh)} Wh ({method})"))
    return rows


def _without_energy(spent: Spent) -> str:
    return cost_sentence(spent.model_copy(update={"energy_method": ""}))


def _training(document: DecisionDocument) -> list[Row]:
    train = document.train
    speed = f"{plain(train.samples_per_s)} samples/s, {plain(train.tokens_per_s)} tokens/s"
    return [
        ("Training", f"{seconds(train.wall_s)} on {train.device} in {train.dtype}"),
        *([("Tokens trained on", count(train.num_tokens))] if train.num_tokens else []),
        ("Training speed", speed),
        ("Training's peak memory", size(train.peak_memory_bytes)),
    ]


def _in_use(document: DecisionDocument) -> list[Row]:
    budgets = document.file.record.budgets
    if not budgets:
        return []
    latency = None if budgets.latency_p95_ms is None else budgets.latency_p95_ms / 1000
    return [
        ("Latency at batch 1 (p95)", seconds(latency)),
        ("Peak memory when serving", size(budgets.peak_memory_bytes)),
        ("Size of the model's files", size(budgets.artifact_bytes)),
    ]
