"""The page says the verdict, escapes everything, loads nothing, and never fails."""

import re
from html.parser import HTMLParser

import pytest

from records.attribution import Attribution, Omission, Piece
from records.dialogue import Turn, write_turns
from records.document import DecisionDocument
from records.search import LeftOut, SearchResult, Trial
from report.html import visible
from report.page import render
from report.style import STYLE
from report.view import Written
from tests.report import documents

VOID = {"meta", "br"}
TAG_NAMES = """
html head meta title style body header main nav section footer h1 h2 h3 p a ul li dl dt dd div span
small b bdi code pre table caption thead tbody tfoot tr th td details summary figure figcaption
mark svg desc line circle rect text polyline
"""
TAGS = frozenset(TAG_NAMES.split())


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on a tag that is not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


def page_of(document: DecisionDocument) -> str:
    return render(document, documents.texts_of(document))


@pytest.mark.parametrize("name", documents.ALL)
def test_render_loads_and_runs_nothing(name: str) -> None:
    page = Page(page_of(documents.ALL[name]()))
    assert set(page.tags) <= TAGS
    loading = {"src", "srcset", "data", "action", "background", "poster", "xlink:href"}
    assert not loading & {attribute for _, attribute, _ in page.attributes}
    assert not [a for _, a, _ in page.attributes if a.startswith("on")]
    links = [value for _, attribute, value in page.attributes if attribute == "href"]
    assert all(link.startswith(("#", "http://localhost:5000/")) for link in links)
    assert "url(" not in STYLE
    assert "@import" not in STYLE


@pytest.mark.parametrize("name", documents.ALL)
def test_render_draws_every_part(name: str) -> None:
    page = page_of(documents.ALL[name]())
    assert page.startswith("<!doctype html>")
    assert "could not be drawn" not in page
    assert page.count("<section") == 12
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]|&quot;nan&quot;|: NaN", "", page)


def test_render_sets_a_policy_that_forbids_scripts_before_any_data() -> None:
    page = page_of(documents.hostile())
    policy = page.index("default-src &#x27;none&#x27;")
    assert policy < page.index("<title")
    assert "script-src" not in page


VERDICTS = [
    ("promoted_first", "Promoted: reviews version 5 is the new champion",
     "better than the baseline tfidf; it is shown better than 1 baseline and goes live"),
    ("shown_worse", "Refused: shown to be worse",
     "worse than the champion; a loss is shown that chance does not explain, so the model in place"),
    ("not_shown", "Refused: not shown to be good enough",
     "this test is too small to show that it is good enough, so the model in place stays"),
    ("broken", "Refused: evidence is missing or broken", "The new model cannot be judged"),
    ("data_refused", "Refused: the data did not pass its checks", "1 check failed on the data"),
    ("held", "Held: it would be promoted", "promotions are on hold, so the model in place stays"),
    ("unchanged", "Unchanged: there was nothing new", "were decided before"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "headline", "sentence"), VERDICTS)
def test_render_says_the_verdict_first(name: str, headline: str, sentence: str) -> None:
    words = Page(page_of(documents.ALL[name]())).words
    assert 0 < words.index(headline) < words.index(sentence) < words.index("Comparison")


def test_render_shows_hostile_texts_as_they_are() -> None:
    page = Page(page_of(documents.hostile()))
    assert page.words.count(documents.HOSTILE) > 20
    assert "[click](javascript:alert(1)) **bold** | `code`" in page.words
    assert "[U+202E]evil[U+0000]" in page.words
    assert "\u202e" not in page.words
    assert "\x00" not in page.words
    assert "javascript:window.hacked=1" in page.words


def test_render_shows_flips_losses_first_and_says_which_texts_are_missing() -> None:
    document = documents.shown_worse()
    first = document.file.decision.comparisons[0].flips[0]
    page = Page(render(document, {first: "nur\u202e ein\x07 Text \ud800"}))
    changed = page.words[page.words.index("Changed answersAgainst") :]
    assert changed.index("✕ lost") < changed.index("✓ won")
    assert "nur[U+202E] ein[U+0007] Text [U+D800]" in changed
    assert "text missing: erased or not given" in changed
    render(document, {first: "\ud800"}).encode()


def test_render_cuts_a_huge_text_and_says_so() -> None:
    document = documents.shown_worse()
    first = document.file.decision.comparisons[0].flips[0]
    page = render(document, {first: "x" * 10_000_000})
    assert "10,000,000 characters in all" in page
    assert len(page) < 1_000_000


def test_render_gives_foreign_texts_their_own_direction() -> None:
    page = page_of(documents.shown_worse())
    for text in documents.TEXTS[1:4]:
        assert f'<div class="text" dir="auto">{text}</div>' in page


def test_render_shows_the_figures_of_the_record() -> None:
    document = documents.shown_worse()
    words = Page(page_of(document)).words
    compared = document.file.decision.comparisons[0]
    assert f"the challenger lost {compared.num_losses} and won {compared.num_wins}" in words
    for digest in (document.decision_digest, document.data.data_key, document.train.train_key):
        assert digest in words
    assert "6,031 rows in, 6,000 kept, 31 in the quarantine. Every row is accounted for." in words
    assert "data/reviews.csv line 73 row 71 column text" in words


def test_render_says_when_rows_are_lost() -> None:
    document = documents.shown_worse()
    report = document.data.report.model_copy(update={"num_in": 6040})
    data = document.data.model_copy(update={"report": report})
    words = Page(page_of(document.model_copy(update={"data": data}))).words
    assert "9 rows unaccounted for" in words


def test_render_keeps_77_labels_usable() -> None:
    document = documents.many_labels()
    page = page_of(document)
    words = Page(page).words
    for label in document.data.labels:
        assert label in words
    assert "Most frequent confusions" in words
    assert "The whole matrix of 77 labels" in words
    assert len(page) < 500_000


def test_render_survives_a_document_without_its_parts() -> None:
    whole = documents.promoted_first()
    fields = {name: getattr(whole, name) for name in DecisionDocument.model_fields}
    hollow = DecisionDocument.model_construct(**{**fields, "data": None, "train": None})
    words = Page(render(hollow, {})).words
    assert "Promoted: reviews version 5" in words
    assert "This part could not be drawn: AttributeError" in words


def test_render_survives_the_round_trip_through_json() -> None:
    document = documents.broken()
    again = DecisionDocument.from_json(document.to_json())
    assert render(again, {}).replace("&quot;NaN&quot;", "NaN") == render(document, {})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\nb\tc", "a↵\nb⇥\tc"),
        ("\x00\x1b\x7f\x85", "[U+0000][U+001B][U+007F][U+0085]"),
        ("a\u200bb\u2028", "a[U+200B]b[U+2028]"),
        ("نمی\u200cخواهم 👩\u200d🔬", "نمی\u200cخواهم 👩\u200d🔬"),
    ],
)
def test_visible_shows_control_characters(text: str, shown: str) -> None:
    assert visible(text) == shown


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "muted", "accent", "good", "bad", "caution"])
def test_style_has_enough_contrast_for_text(scheme: int, name: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    ink = re.findall(rf"--{name}: (#\w{{6}})", STYLE)[scheme]
    for ground in ("paper", "raised", "shade"):
        paper = re.findall(rf"--{ground}: (#\w{{6}})", STYLE)[scheme]
        dark, light = sorted((_luminance(ink), _luminance(paper)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def attribution(*pieces: tuple[int, int, float], gap: float = 0.0) -> Attribution:
    return Attribution(
        label="positive", probability=0.9, score=2.2, blank_score=0.2,
        pieces=tuple(Piece(start=a, end=b, value=v) for a, b, v in pieces),
        gap=gap, tolerance=0.04, num_steps=32,
    )  # fmt: skip


def test_reasons_shade_the_places_and_keep_every_character() -> None:
    document = documents.shown_worse()
    item = document.file.decision.comparisons[0].flips[0]
    text = "<b>good</b> & bad\u202e!"
    reasons = {item: attribution((3, 7, 1.6), (14, 17, -0.4))}
    page = Page(render(document, {item: text}, reasons=reasons))
    assert "<b>good</b> & bad[U+202E]!" in page.words
    assert ("mark", "class", "for-4") in page.attributes
    assert ("mark", "title", "+1.60") in page.attributes
    assert ("mark", "class", "against-1") in page.attributes
    assert set(page.tags) <= TAGS
    assert "2, within 0.04" in page.words


def test_reasons_that_do_not_add_up_are_not_called_reasons() -> None:
    document = documents.shown_worse()
    item = document.file.decision.comparisons[0].flips[0]
    reasons = {item: attribution((0, 4, 1.0), gap=1.0)}
    page = Page(render(document, {item: "good"}, reasons=reasons))
    assert "no: 1 of 2 is missing, so do not read it as a reason" in page.words


def test_reasons_of_an_answer_in_words_shade_the_last_question_and_mask_it() -> None:
    document = documents.shown_worse()
    item = document.file.decision.comparisons[0].flips[0]
    turns = [
        Turn("user", "Hello."),
        Turn("assistant", "Yes?"),
        Turn("user", "I am a@b.example: where?"),
    ]
    pieces = ((0, 1, 0.0), (5, 6, 0.5), (7, 16, 1.5), (18, 23, -1.0))
    told = Omission(nats=2.5, pieces=tuple(Piece(start=a, end=b, value=v) for a, b, v in pieces))
    written = Written({item: "Right here."}, {"challenger": {item: "Ask b@c.example."}})
    page = render(document, {item: write_turns(turns)}, written, {item: told})
    reasons = page.partition('id="reasons"')[2].partition("</section>")[0]
    assert "example" not in page
    found = Page(f"<section>{reasons.partition('>')[2]}</section>")
    assert "Ask [e-mail]." in found.words
    assert "I am [e-mail]: where?" in found.words
    assert "Hello" not in found.words
    assert "2.5 nats" in found.words
    assert [a for a in found.attributes if a[:2] == ("mark", "title")] == [
        ("mark", "title", "+2.00"), ("mark", "title", "-1.00"),
    ]  # fmt: skip


def test_a_page_without_reasons_has_no_such_part() -> None:
    assert "Reasons" not in Page(page_of(documents.shown_worse())).words


def test_the_choice_of_a_base_says_who_was_not_tried_and_why() -> None:
    trials = tuple(
        Trial(number=n, seed=1, settings={"model": f"m{n}"}, state="finished", points=((9, 0.5),),
              best_value=0.5, wall_s=1)
        for n in range(2)
    )  # fmt: skip
    found = SearchResult(
        search_key="a", metric="accuracy", trials=trials, best=1, offered_for="9 rows",
        left_out=(LeftOut(name="big<b>", why="9 weights, over 8"),),
    )  # fmt: skip
    words = Page(page_of(documents.promoted_first().model_copy(update={"choice": found}))).words
    assert "Offered for 9 rows." in words
    assert "2 bases tried" in words
    assert "Not triedWhybig<b>9 weights, over 8" in words
    alone = found.model_copy(update={"trials": trials[:1], "best": 0, "left_out": ()})
    words = Page(page_of(documents.promoted_first().model_copy(update={"choice": alone}))).words
    assert "One base was left, and taken without a trial." in words
    assert "Not tried" not in words
