"""What was tried before the challenger was trained: bases, and settings."""

from collections.abc import Mapping

from records.document import DecisionDocument
from records.search import SearchResult
from report.figures import count, counted, metric_name, score, seconds
from report.html import Html, join, note, own_text, table

WORDS = {"finished": "finished", "cut": "cut short", "diverged": "diverged"}


def choice(document: DecisionDocument) -> Html:
    """Every candidate for the base with its validation figure, the chosen one first."""
    found = document.choice
    if found is None:
        return note("The recipe names the base; there was nothing to choose.")
    tried = (
        f"{counted(len(found.trials), 'base')} tried on some training rows, judged on validation "
        "alone; the better half went on to twice as many rows, and so on."
    )
    return join(
        note(f"Offered for {found.offered_for}.") if found.offered_for else None,
        _trials(
            found,
            "Candidate",
            tried if len(found.trials) > 1 else "One base was left, and taken without a trial.",
            "The time limit ended it before the last round.",
        ),
        _left_out(found),
    )


def _left_out(found: SearchResult) -> Html | None:
    """The bases that were not tried, and why."""
    rows = [(own_text(left.name), own_text(left.why)) for left in found.left_out]
    return table(("Not tried", "Why"), rows) if rows else None


def search(document: DecisionDocument) -> Html:
    """Every trial with its settings and its validation figure, the best first."""
    found = document.search
    if found is None:
        return note("The recipe's own settings; nothing was searched.")
    return _trials(
        found,
        "Trial",
        f"{counted(len(found.trials), 'training')} on the training split, judged on validation alone. "
        "A trial that was worse than half of the earlier ones at the same step was cut short.",
        "The time limit ended it before all trials were made.",
    )


def _trials(found: SearchResult, kind: str, words: str, cut_words: str) -> Html:
    rows = [
        (
            own_text(f"{trial.number}" + (" (chosen)" if trial.number == found.best else "")),
            own_text(_settings(trial.settings)),
            WORDS[trial.state],
            score(found.metric, trial.best_value) if trial.best_value is not None else "",
            count(trial.points[-1][0]) if trial.points else "0",
            seconds(trial.wall_s),
        )
        for trial in sorted(found.trials, key=lambda t: (t.number != found.best, t.number))
    ]
    total = seconds(sum(trial.wall_s for trial in found.trials))
    heads = (kind, "Settings", "How it ended", metric_name(found.metric), "Steps", "Time")
    return join(
        note(f"{words} It took {total}."),
        note(cut_words) if found.is_cut else None,
        table(heads, rows, numeric=frozenset({3, 4, 5})),
    )


def _settings(settings: Mapping[str, object]) -> str:
    if not settings:
        return "the recipe's own"
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )
