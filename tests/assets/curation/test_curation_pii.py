"""Personal data: what is found, what is not, and checksums against slow definitions."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.curation.pii import count, is_iban, passes_luhn, placeholder, redact
from headwater.assets.curation.signals.catalog import PII_KINDS

FOUND = {
    "email": ["jane.doe+news@mail.example.org", "a@b.co"],
    "ip": ["8.8.8.8", "2001:4860:4860::8888"],
    "phone": ["+49 30 901820", "+14155552671", "(415) 555-2671", "415-555-2671"],
    "credit_card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"],
    "iban": ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "NO9386011117947"],
    "api_key": ["AKIA" + "ABCDEFGH12345678", "ghp_" + "a1B2" * 9, "hf_" + "x" * 34, "sk-" + "proj-" + "a" * 40],
    "private_key": [
        "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIE" * 20 + "\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n" + "cut short " * 10,
    ],
}
NOT_FOUND = {
    "email": ["@decorator", "user@localhost", "git@github:owner", "a@b"],
    "ip": ["127.0.0.1", "192.168.0.1", "10.1.2.3", "999.8.8.8", "1.2.3.4.5", "12:30:45", "0.0.0.0", "2001:db8::1"],
    "phone": ["12345678", "2021-01-01", "3.14159 26535", "555-2671", "+1", "1234567-890-1234"],
    "credit_card": ["4111 1111 1111 1112", "0000 0000 0000 0000", "1234567890123456", "14111111111111111111111"],
    "iban": ["DE89370400440532013001", "GB82 WEST 1234 5698 7654 33", "AB12"],
    "api_key": ["AKIA1234", "sk-learn", "ghp_short", "hf_hub_download"],
    "private_key": ["-----BEGIN PUBLIC KEY-----\n" + "MIIE" * 20, "PRIVATE KEY"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in FOUND for value in FOUND[kind]])
def test_personal_data_is_found_and_replaced(kind, value):
    text = f"Before: {value}, after."
    assert count(text, kind) == 1
    changed, counts = redact(text, [kind])
    assert changed.startswith(f"Before: {placeholder(kind)}")
    assert counts == {kind: 1}
    assert "MIIE" not in changed


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in NOT_FOUND for value in NOT_FOUND[kind]])
def test_what_only_looks_like_it_stays(kind, value):
    text = f"Before: {value}, after."
    assert count(text, kind) == 0
    assert redact(text, [kind]) == (text, {kind: 0})


def test_redacting_twice_finds_nothing_more():
    text = "\n".join(value for kind in PII_KINDS for value in FOUND[kind][:1])
    once, counts = redact(text, PII_KINDS)
    assert counts == dict.fromkeys(PII_KINDS, 1)
    assert redact(once, PII_KINDS) == (once, dict.fromkeys(PII_KINDS, 0))


def slow_luhn(digits):
    total = 0
    for at, digit in enumerate(digits[::-1]):
        doubled = int(digit) * (1 + at % 2)
        total += doubled if doubled < 10 else doubled - 9
    return total % 10 == 0


@given(st.text("0123456789", min_size=13, max_size=19).filter(lambda digits: len(set(digits)) > 1))
def test_luhn(digits):
    assert passes_luhn(digits) == slow_luhn(digits)
    assert sum(passes_luhn(digits[:-1] + last) for last in string.digits) >= (len(set(digits[:-1])) > 1)


@settings(max_examples=60)
@given(st.text(string.digits + string.ascii_uppercase, min_size=11, max_size=30))
def test_iban_check_digits(account):
    letters = {character: str(value) for value, character in enumerate(string.digits + string.ascii_uppercase)}
    number = int("".join(letters[character] for character in account + "XY00"))
    iban = f"XY{98 - number % 97:02d}{account}"
    assert is_iban(iban)
    wrong = (98 - number % 97) % 97 + 1
    assert not is_iban(f"XY{wrong:02d}{account}")
