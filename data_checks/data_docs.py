"""Great Expectations' own Data Docs page, made self-contained."""

import copy
import html
import re
from pathlib import Path
from typing import Any

from data_checks.schema import shown

STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; }
table { border-collapse: collapse; margin: .5rem 0; width: 100%; }
td, th { border-bottom: 1px solid #ccc; overflow-wrap: anywhere; padding: .3rem .6rem; text-align: left; vertical-align: top; }
.badge { background: #eee; border-radius: .3rem; padding: 0 .3rem; }
.text-success::before { color: #17813c; content: "\\2713"; }
.text-danger::before { color: #b3261e; content: "\\2717"; }
.text-warning::before { color: #8a6100; content: "!"; }
nav, footer, button, .navbar, .modal, .ge-walkthrough-modal, .cooltip { display: none; }
</style>"""
POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
_FETCHED = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*\bsrc=[\"']https?:[^>]*>"
    r"|background: url\('https?:[^;]*;",
    re.S | re.I,
)
NUM_SHOWN_VALUES = 20


def write_data_docs(validation: Any, docs_dir: Path) -> Path:
    """Render a validation result to `docs_dir/index.html`; gives back its path.

    The page that Great Expectations makes fetches Bootstrap, jQuery, Vega and Font Awesome from
    five content networks. Here they are cut out and a content security policy forbids the rest:
    the page loads nothing, runs nothing, and shows its tables without their decoration.

    Args:
        validation: ExpectationSuiteValidationResult in format COMPLETE. It is not changed.
        docs_dir: made if it does not exist.
    """
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    document = ValidationResultsPageRenderer().render(_shortened(validation))
    page = _FETCHED.sub("", str(DefaultJinjaPageView().render(document)))
    page = page.replace("<head>", f"<head>{POLICY}{STYLE}", 1)
    docs_dir.mkdir(parents=True, exist_ok=True)
    path = docs_dir / "index.html"
    path.write_text(page, encoding="utf-8", errors="backslashreplace")
    return path


def _shortened(validation: Any) -> Any:
    """A copy without the lists over all rows, which would fill the page, and with values escaped.

    Great Expectations 1.24 puts a row's value into its tables as it is, markup included.
    """
    short = copy.deepcopy(validation)
    for result in short.results:
        for name in ("unexpected_list", "unexpected_index_list", "unexpected_index_query"):
            result.result.pop(name, None)
        for name in [n for n in result.result if n.startswith("partial_")]:
            result.result[name] = _escaped((result.result[name] or [])[:NUM_SHOWN_VALUES])
        for name in {"observed_value", "details"} & set(result.result):
            result.result[name] = _escaped(result.result[name])
    return short


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return html.escape(shown(value))
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return value
