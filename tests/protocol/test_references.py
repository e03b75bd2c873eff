"""Names and references: what the grammar takes, and what becomes one and the same."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol.errors import NameInvalid
from norman_protocol.references import Reference, name_key, parse_name, parse_reference


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "7",
        "digits",
        "Digits-v2_final.1",
        "3d-net",
        "a..b",
        "x" * 100,
        "Ziffern-Größe",
        "数字",
        "цифры",
        "أرقام",
        "हिन्दी",
        "ตัวเลข",
        "தமிழ்",
        "a-",
        "a_",
    ],
)
def test_names_of_any_script_are_taken_as_they_are(name: str) -> None:
    assert parse_name(name) == unicodedata.normalize("NFKC", name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("e\u0301tat", "état"),
        ("\uff44\uff49\uff47\uff49\uff54\uff53", "digits"),
        ("ﬁne", "fine"),
        ("x²", "x2"),
        ("①", "1"),
    ],
)
def test_spellings_of_one_name_become_one(text: str, name: str) -> None:
    assert parse_name(text) == name


HOSTILE = [
    "",
    " ",
    "a b",
    " a",
    "a\n",
    "a\0",
    "a\x7f",
    ".",
    "..",
    "...",
    ".a",
    "a.",
    "-a",
    "_a",
    "a/b",
    "../a",
    "a\\b",
    "/a",
    "C:a",
    "a:b",
    "%2e",
    "%2e%2e%2fa",
    "a%00",
    "a@1",
    "@",
    "a?b",
    "a#b",
    "a*",
    "$a",
    "a;rm",
    "<a>",
    "'a'",
    '"a"',
    "a,b",
    "a\u200b",
    "a\u200db",
    "a\u202eb",
    "\ufeffa",
    "\u0301a",
    "\u0301",
    "a\u2028",
    "☃",
    "👩‍🔬",
    "a\ud800",
    "x" * 101,
    "x" * 300,
    "x" * 10_000_000,
    "\ufdfa" * 18,
    "\u2025",
    "a\uff0fb",
    "a\u2024",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_refused_in_a_short_message(text: str) -> None:
    with pytest.raises(NameInvalid) as caught:
        parse_name(text)
    assert len(caught.value.message) < 400
    assert len(caught.value.name) <= 300
    assert caught.value.message.isprintable()


@given(st.text(max_size=12))
def test_a_name_is_in_normal_form_and_stays_itself(text: str) -> None:
    try:
        name = parse_name(text)
    except NameInvalid:
        return
    assert unicodedata.is_normalized("NFKC", name)
    assert parse_name(name) == name
    assert 1 <= len(name) <= 100
    assert not set(name) & set("/\\@:%?#*\0 \n")
    assert name not in (".", "..")


@pytest.mark.parametrize(
    "names",
    [
        ("digits", "Digits", "DIGITS", "\uff44igits"),
        ("straße", "STRASSE", "Strasse"),
        ("état", "É" + "tat", "E\u0301TAT"),
        ("ςας", "ΣΑΣ", "σας"),
        ("ﬁne", "FINE"),
    ],
)
def test_twins_by_case_and_spelling_have_one_key(names: tuple[str, ...]) -> None:
    assert len({name_key(parse_name(name)) for name in names}) == 1


def test_the_key_of_a_key_is_itself_for_every_character() -> None:
    for code in range(sys.maxunicode + 1):
        key = name_key("a" + chr(code))
        assert name_key(key) == key, f"U+{code:04X}"


@given(st.text(max_size=8))
def test_the_key_ignores_case_and_normal_form(text: str) -> None:
    key = name_key(text)
    assert name_key(key) == key
    assert name_key(unicodedata.normalize("NFD", text)) == key
    assert name_key(unicodedata.normalize("NFC", text)) == key


@pytest.mark.parametrize(
    ("text", "name", "selector"),
    [
        ("digits", "digits", "active"),
        ("digits@active", "digits", "active"),
        ("digits@Active", "digits", "active"),
        ("digits@latest", "digits", "latest"),
        ("digits@LATEST", "digits", "latest"),
        ("digits@1", "digits", 1),
        ("digits@999999999", "digits", 999_999_999),
        ("digits@production", "digits", "production"),
        ("digits@Prod-2", "digits", "prod-2"),
        ("\uff44igits@\uff50rod", "digits", "prod"),
    ],
)
def test_references_are_taken_apart(text: str, name: str, selector: int | str) -> None:
    reference = parse_reference(text)
    assert reference == Reference(name=name, selector=selector)
    assert parse_reference(str(reference)) == reference


def test_a_reference_writes_itself_as_people_do() -> None:
    assert str(Reference(name="digits")) == "digits"
    assert str(Reference(name="digits", selector=3)) == "digits@3"
    assert str(Reference(name="digits", selector="latest")) == "digits@latest"


BAD_REFERENCES = [
    "",
    "@",
    "digits@",
    "@1",
    "digits@0",
    "digits@00",
    "digits@01",
    "digits@-1",
    "digits@+1",
    "digits@1.5",
    "digits@1e3",
    "digits@1234567890",
    "digits@\u0663",
    "digits@1a",
    "digits@@1",
    "digits@1@2",
    "digits@ 1",
    "digits@..",
    "digits@a/b",
    "../digits@1",
    "digits@" + "x" * 101,
    "x" * 300 + "@1",
    "digits@" + "9" * 10_000,
    "digits@\ud800",
]


@pytest.mark.parametrize("text", BAD_REFERENCES, ids=range(len(BAD_REFERENCES)))
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(NameInvalid) as caught:
        parse_reference(text)
    assert len(caught.value.message) < 400
    assert len(caught.value.name) <= 300


@given(st.text(st.sampled_from("aA1.@-_/é\u0301 "), max_size=10))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = parse_reference(text)
    except NameInvalid:
        return
    assert parse_reference(str(reference)) == reference
