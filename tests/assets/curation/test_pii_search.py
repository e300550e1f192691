"""The scan for personal data leaves out nothing that the patterns find in the whole text."""

import random

import pyarrow as pa
import pytest

from headwater.assets.curation import pii
from headwater.assets.curation.pii_search import find_pii

_GROUPED = (
    "+49 (30) 1234-567|555-123-4567|(555) 123-4567|(555)123.4567|DE89 3704 0044 0532 0130 00|"
    "GB82WEST12345698765432|4111 1111 1111 1111|5500000000000004|8.8.8.8|1:2:3:4:5:6:7:8|a:b::c|"
    "2001:db8:85a3::8a2e:370:7334|2001:4860:4860::8888|a.b@c.org|x%y@d-e.co.uk|AKIAIOSFODNN7EXAMPLE|"
    "xoxb-0123456789|1.234567890123456|12:30:45|٤١١١ 1111 1111 1111|+٤٩ 30 1234567|８.8.8.8|AB12 CD34|"
    "3.14.15.92|1 2 3 4 5 6 7 8 9 10 11 12 13 14 15|4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1"
)
_SEEDS = [*_GROUPED.split("|"), "ghp_" + "a1" * 18, "sk-" + "A" * 40, "hf_" + "b" * 32]
_KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "A" * 60 + "\n-----END RSA PRIVATE KEY-----"
_JUNK = [*" .-()+:@,\n\té漢_aZ9%0", " word "]


def texts_near_to_personal_data(draw, count):
    def near(seed):
        letters = list(seed)
        for _ in range(draw.choice([0, 0, 0, 1, 2])):
            at = draw.randrange(len(letters) + 1)
            letters[at : at + draw.choice([0, 1])] = draw.choice(
                [[], [draw.choice(_JUNK)], [draw.choice("0123456789")]]
            )
        return "".join(letters)

    def number():
        return "".join(draw.choices("0123456789" * 3 + " .-()+:AB", k=draw.randint(5, 40)))

    def piece():
        return draw.choice([lambda: near(draw.choice([*_SEEDS, _KEY])), number, lambda: draw.choice(_JUNK)])()

    return ["".join(piece() for _ in range(draw.randint(1, 5))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_redaction_and_counts_equal_those_of_the_patterns_alone(seed):
    draw = random.Random(seed)
    texts = texts_near_to_personal_data(draw, 3000)
    kinds = tuple(draw.sample(list(pii.FINDERS), k=draw.randint(5, 7)))
    column = pa.array(texts, pa.large_string())
    redacted, replaced = find_pii(column, kinds, redact=True)
    same, counted = find_pii(column, kinds, redact=False)
    assert same is column
    expected = [pii.redact(text, kinds) for text in texts]
    assert redacted.to_pylist() == [text for text, _ in expected]
    for kind in kinds:
        assert replaced[kind].tolist() == [found[kind] for _, found in expected], kind
        assert counted[kind].tolist() == [pii.count(text, kind) for text in texts], kind
        assert sum(counted[kind]) > 20, f"too few {kind} to show anything"


def test_single_kinds_nulls_and_no_texts():
    column = pa.array(["a@b.org", None, _KEY], pa.large_string())
    assert find_pii(column, ("email",), redact=True)[0].to_pylist() == ["<EMAIL>", None, _KEY]
    assert find_pii(column, ("private_key",), redact=True)[0].to_pylist() == ["a@b.org", None, "<PRIVATE_KEY>"]
    assert find_pii(column, (), redact=True) == (column, {})
    assert find_pii(column.slice(0, 0), ("ip",), redact=True)[1]["ip"].tolist() == []
