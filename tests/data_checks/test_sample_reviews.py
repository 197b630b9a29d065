"""The sample that ships with the project: the same everywhere, balanced, and hard for words alone."""

import hashlib
from collections import Counter, defaultdict

import pytest

from data_checks.sample_reviews import (
    COLUMNS,
    LABELS,
    SampleOptions,
    generate,
)
from data_checks.samples import SampleError, read_options
from records.text import normalise

GOLDEN = "60ecf76c4efe0cc07e8f8738c1442633d552bfb21accfdb62f236651dc16659c"


def texts(**options: object) -> list[str]:
    return [row["text"] for row in generate(SampleOptions.model_validate(options))]


def test_rows_are_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    for row in generate():
        digest.update("\t".join(row.values()).encode() + b"\n")
    assert digest.hexdigest() == GOLDEN


def test_rows_are_balanced_and_distinct() -> None:
    rows = list(generate())
    assert len({normalise(row["text"]) for row in rows}) == len(rows) == 2000
    assert Counter(row["label"] for row in rows) == dict.fromkeys(LABELS, 1000)
    assert all(tuple(row) == COLUMNS for row in rows)
    num = Counter(row["language"] for row in rows)
    assert 120 <= num["zh"] <= 200
    by_phenomenon: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by_phenomenon[row["phenomenon"]][row["label"]] += 1
        assert "{" not in row["text"]
    assert len(by_phenomenon) == 6
    assert all(min(n.values()) > 0.4 * n.total() >= 40 for n in by_phenomenon.values())


def test_a_larger_number_keeps_the_first_rows() -> None:
    assert texts(num=700)[:500] == texts(num=500)


def test_another_seed_gives_other_texts() -> None:
    ours, theirs = set(map(normalise, texts())), set(map(normalise, texts(seed=8)))
    assert len(ours & theirs) < 0.03 * len(ours)


def test_the_same_adjectives_serve_both_labels() -> None:
    """Outside of plain rows no frequent word leans to one label by more than chance and verbs explain."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in generate(SampleOptions(num=6000)):
        if row["phenomenon"] in ("negation", "contrast", "comparison", "intensifier"):
            for word in set(normalise(row["text"]).strip(".").split()):
                counts[word][row["label"]] += 1
    frequent = {word: num for word, num in counts.items() if num.total() >= 80}
    assert len(frequent) > 50
    share = {word: max(num.values()) / num.total() for word, num in frequent.items()}
    assert max(share.values()) < 0.65, max(share.items(), key=lambda item: item[1])


def test_mislabelling_flips_the_share_and_moves_no_text() -> None:
    clean = list(generate(SampleOptions(num=3000)))
    options = read_options("sample:reviews?num=3000&mislabel=0.35&where=negation", SampleOptions)
    changed = [(a, b) for a, b in zip(clean, generate(options), strict=True) if a != b]
    assert {a["phenomenon"] for a, _ in changed} == {"negation"}
    assert all(a["text"] == b["text"] and a["label"] != b["label"] for a, b in changed)
    share = len(changed) / sum(row["phenomenon"] == "negation" for row in clean)
    assert 0.30 < share < 0.40


def test_options_are_read_and_all_mistakes_told() -> None:
    assert read_options("sample:reviews?seed=8&num=9", SampleOptions) == SampleOptions(
        seed=8, num=9
    )
    with pytest.raises(
        SampleError,
        match=r"no sample 'books'.*'sed' does not exist.*given twice.*num='0'.*Options: seed",
    ):
        read_options("sample:books?sed=8&num=3&num=0", SampleOptions)
    with pytest.raises(SampleError, match=r"where='irony': is none of plain, negation"):
        read_options("sample:reviews?where=irony", SampleOptions)
    with pytest.raises(SampleError, match=r"mislabel='2': Input should be less than"):
        read_options("sample:reviews?mislabel=2", SampleOptions)


@pytest.mark.slow
def test_words_alone_do_not_decide() -> None:
    """The gate's kind of baseline stays below 0.78; at 500 items its standard error is 0.02."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    rows = list(generate())
    train, test = rows[:1500], rows[1500:]
    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2)),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4)),
        ),
        LogisticRegression(C=10, max_iter=1000),
    )
    model.fit([row["text"] for row in train], [row["label"] for row in train])
    accuracy = model.score([row["text"] for row in test], [row["label"] for row in test])
    assert 0.55 < accuracy < 0.78
