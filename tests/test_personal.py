"""Personal data is found by its form; numbers that are data stay as they are."""

import json
from collections import Counter

import pytest

from records.attribution import Piece
from records.personal import find_personal, mask, mask_pieces
from tests.conftest import shared_data

ONE_OF_EACH = {
    "anna.o'neil+shop@mail.example.co.uk": "[e-mail]",
    "müller@straße.example": "[e-mail]",
    "4111 1111 1111 1111": "[card number]",
    "3782-822463-10005": "[card number]",
    "DE89 3704 0044 0532 0130 00": "[IBAN]",
    "at611904300234573201": "[IBAN]",
    "203.0.113.77": "[IP address]",
    "2001:db8::8a2e:370:7334": "[IP address]",
    "https://ann:s3cret@shop.example/x": "https://[userinfo]@shop.example/x",
    "+49 (0)30 901820": "[phone]",
    "(555) 010-9999": "[phone]",
    "555-010-9999x12": "[phone]",
    "0171 2345678": "[phone]",
    "01.84.17.61.18": "[phone]",
    "13912345678": "[phone]",
}


@pytest.mark.parametrize(("text", "masked"), ONE_OF_EACH.items())
@pytest.mark.parametrize("around", ["{}", "Write to {}, or not.", "请联系{}谢谢。", "({})\n{}"])
def test_each_kind_is_masked_wherever_it_stands(text: str, masked: str, around: str) -> None:
    assert mask(around.format(text, text)) == around.format(masked, masked)


def test_a_number_to_call_is_one_by_the_words_before_it() -> None:
    assert mask("Call me on 9469 9966 today") == "Call me on [phone] today"
    assert mask("Room 9469 9966 today") == "Room 9469 9966 today"


@pytest.mark.parametrize(
    "text",
    [
        "in 2024-10-12 at 18:40:26, or 12/31/2023, or 31.12.2023 18:40",
        "costs 1,234,567.89 or 4,111,111,111,111,111 euro, 50-60 % less, 3.14159265358979",
        "48/2 = <<48/2=24>>24 and 1000/200 + 2000000-400000, call it 1000/200",
        "4111 1111 1111 1112 has a wrong check digit, and so has GB29 NWBK 6016 1331 9268 18",
        "sha256 4111111111111111abcdef, order 1700000000000, step 12345678, ISBN 978-3-16-148410-0",
        "version 2.13.0 of std::vector, ratio 3:2, from 1939-1945, call of 1914-1918",
        "@anna at 5 pm; price 0.75; 007; hf://owner/name@0123456",
        "DE89",
    ],
)
def test_numbers_that_are_data_stay(text: str) -> None:
    assert mask(text) == text


def test_pieces_move_with_their_masked_text() -> None:
    text = "ask anna@mail.example now"
    places = [(0, 3), (4, 8), (8, 9), (9, 21), (22, 25)]
    pieces = tuple(Piece(start=s, end=e, value=0.5 * i) for i, (s, e) in enumerate(places))
    moved = mask_pieces(text, pieces)
    assert mask(text) == "ask [e-mail] now"
    assert [(mask(text)[p.start : p.end], p.value) for p in moved] == [
        ("ask", 0.0), ("[e-mail]", 3.0), ("now", 2.0),
    ]  # fmt: skip


def test_recall_and_precision_on_labelled_texts() -> None:
    """Names, streets and dates are not covered, so that they are not counted."""
    names = {
        "EMAIL_ADDRESS": "e-mail", "CREDIT_CARD": "card number", "IBAN_CODE": "IBAN",
        "PHONE_NUMBER": "phone", "IP_ADDRESS": "IP address",
    }  # fmt: skip
    path = shared_data("pii_presidio") / "synth_dataset_v2.json"
    num, met, found, right = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for row in json.loads(path.read_text("utf-8")):
        spans = [
            (s["start_position"], s["end_position"], names[s["entity_type"]])
            for s in row["spans"]
            if s["entity_type"] in names
        ]
        masks = find_personal(row["full_text"])
        for start, end, kind in spans:
            num[kind] += 1
            met[kind] += any(m.start <= start and end <= m.end for m in masks)
        for m in masks:
            found[m.kind] += 1
            right[m.kind] += any(m.start < end and start < m.end for start, end, _ in spans)
    for kind in num:
        print(
            f"{kind}: recall {met[kind]} of {num[kind]}, precision {right[kind]} of {found[kind]}"
        )
        assert met[kind] >= {"phone": 0.8, "card number": 0.9}.get(kind, 1) * num[kind]
        assert right[kind] >= 0.98 * found[kind]


def test_grade_school_numbers_are_no_personal_data() -> None:
    lines = (shared_data("gsm8k") / "train.jsonl").read_text("utf-8").splitlines()
    assert [line for line in lines if mask(line) != line] == []
