"""Numbers as people read them: sensible digits, units, and words for what is not a number."""

import math
from datetime import UTC, datetime

MISSING = "not known"
NATS = ("log_loss", "loss_per_token", "loss_per_byte")
POINTS = ("bleu", "chrf")
"""Metrics that people quote as points from 0 to 100."""
MINUS = "−"


def _odd(value: float | None) -> str:
    """Words for a value that has no digits; empty for a finite one."""
    if value is None:
        return MISSING
    if math.isnan(value):
        return "not a number"
    return "" if math.isfinite(value) else "infinite"


def is_finite(value: float | None) -> bool:
    """Whether the value can be drawn."""
    return value is not None and math.isfinite(value)


def percent(share: float | None, digits: int = 1) -> str:
    """0.912 -> 91.2%."""
    return _odd(share) or f"{100 * (share or 0.0):.{digits}f}%".replace("-", MINUS)


def plain(value: float | None) -> str:
    """Four significant digits, without exponents where a person would write none."""
    if odd := _odd(value):
        return odd
    text = f"{value:.4g}"
    mantissa, _, exponent = text.partition("e")
    return (f"{mantissa}e{int(exponent)}" if exponent else text).replace("-", MINUS)


def score(metric: str, value: float | None) -> str:
    """A metric's value: losses in nats, BLEU and chrF in points, ratios plain, the rest in percent."""
    digits = {**dict.fromkeys(NATS, 3), "length_ratio": 2, "answer_chars": 0}.get(metric)
    if metric in POINTS:
        return percent(value).removesuffix("%")
    if digits is None:
        return percent(value)
    return _odd(value) or f"{value:.{digits}f}".replace("-", MINUS)


def difference(metric: str, value: float | None) -> str:
    """A signed difference: percentage points, or nats for log-loss."""
    if odd := _odd(value):
        return odd
    scale, digits, unit = (1, 3, "") if metric in NATS else (100, 1, " points")
    number = round(scale * (value or 0.0), digits)
    sign = "+" if number else ""
    return f"{number + 0.0:{sign}.{digits}f}{unit}".replace("-", MINUS)


def tick(metric: str, value: float, *, signed: bool) -> str:
    """A mark on an axis: the shortest exact form; points without their unit."""
    scale = 1 if metric in NATS else 100
    unit = "" if metric in NATS or metric in POINTS or signed else "%"
    number = round(scale * value, 9)
    return f"{number:+g}{unit}".replace("-", MINUS) if signed and number else f"{number:g}{unit}"


def span(metric: str, low: float | None, high: float | None, *, signed: bool) -> str:
    """Bounds as one text, the unit said once: −7.7 to −3.9 points."""
    write = difference if signed else score
    first, second = write(metric, low), write(metric, high)
    return f"{first.removesuffix(' points')} to {second}"


def capital(text: str) -> str:
    """The first letter as a capital, the others as they are; chrF is a name."""
    if text.startswith("chrF"):
        return text
    return text[:1].upper() + text[1:]


def count(number: int) -> str:
    """12345 -> 12,345."""
    return f"{number:,}".replace("-", MINUS)


def counted(number: int, noun: str, plural: str = "") -> str:
    """1 row, 2 rows."""
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def seconds(duration: float | None) -> str:
    """A duration from milliseconds to hours."""
    if odd := _odd(duration):
        return odd
    value = duration or 0.0
    if value < 0.9995:
        return f"{1000 * value:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(num_bytes: int | None) -> str:
    """Bytes in decimal units: kB, MB, GB."""
    if num_bytes is None:
        return MISSING
    value, unit = float(num_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if abs(value) < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 99.95 else f"{value:.1f} {unit}"


def p_value(p: float | None) -> str:
    """A p-value with two significant digits; never "0"."""
    if odd := _odd(p):
        return odd
    return "< 0.001" if (p or 0.0) < 0.001 else f"{p:.2g}"


def moment(time: str) -> str:
    """RFC 3339 -> 2026-11-23 14:05 UTC; what is no time is given back as it is."""
    try:
        parsed = datetime.fromisoformat(time)
    except ValueError:
        return time
    return f"{parsed.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if parsed.tzinfo else time


def metric_name(metric: str) -> str:
    """The metric as people call it."""
    names = {
        "macro_f1": "macro-F1", "micro_f1": "micro-F1", "hamming_loss": "Hamming loss", "log_loss": "log-loss", "ece": "calibration error", "bleu": "BLEU",
        "chrf": "chrF", "rouge_l": "ROUGE-L", "answer_chars": "characters", "loss_per_token": "loss per token", "loss_per_byte": "loss per byte",
    }  # fmt: skip
    return names.get(metric, metric.replace("_", " "))
