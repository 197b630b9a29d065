"""Commands of the guides, as a reader would copy them."""

import re
from pathlib import Path

GUIDES = Path(__file__).resolve().parents[1] / "docs" / "guides"


def commands(guide: str, label: str, **replaced: str) -> str:
    """The block of shell or Python that the guide marks with the label; `replaced`: text for text."""
    text = (GUIDES / guide).read_text("utf-8")
    mark = rf"<!-- {label}: tests/\S+ runs this block -->\n```(?:sh|python)\n(.*?)```"
    found = re.findall(mark, text, re.S)
    assert len(found) == 1, f"{guide} marks {len(found)} blocks with {label!r}"
    for old, new in replaced.items():
        assert old in found[0], f"{label} of {guide} does not say {old!r}"
        found[0] = found[0].replace(old, new)
    return str(found[0])
