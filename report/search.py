"""What was tried before the challenger was trained."""

from records.document import DecisionDocument
from records.search import Trial
from report.figures import count, metric_name, score, seconds
from report.html import Html, join, note, own_text, table

WORDS = {"finished": "finished", "cut": "cut short", "diverged": "diverged"}


def search(document: DecisionDocument) -> Html:
    """Every trial with its settings and its validation figure, the best first."""
    found = document.search
    if found is None:
        return note("The recipe's own settings; nothing was searched.")
    rows = [
        (
            own_text(f"{trial.number}" + (" (chosen)" if trial.number == found.best else "")),
            _settings(trial),
            WORDS[trial.state],
            score(found.metric, trial.best_value) if trial.best_value is not None else "",
            count(trial.points[-1][0]) if trial.points else "0",
            seconds(trial.wall_s),
        )
        for trial in sorted(found.trials, key=lambda t: (t.number != found.best, t.number))
    ]
    total = seconds(sum(trial.wall_s for trial in found.trials))
    heads = ("Trial", "Settings", "How it ended", metric_name(found.metric), "Steps", "Time")
    return join(
        note(
            f"{count(len(rows))} trainings on the training split, judged on validation alone: {total}. "
            "A trial that was worse than half of the earlier ones at the same step was cut short."
        ),
        table(heads, rows, numeric=frozenset({3, 4, 5})),
    )


def _settings(trial: Trial) -> str:
    if not trial.settings:
        return "the recipe's own"
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.settings.items()
    )
