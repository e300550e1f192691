"""Small tables for the tests of curation."""

import hashlib

import pyarrow as pa

from headwater.assets.schemas import DOCUMENTS


def documents_of(texts):
    ids = [f"{at:032x}" for at in range(len(texts))]
    content = [hashlib.blake2b((text or "").encode(), digest_size=16).hexdigest() for text in texts]
    return pa.table([ids, content, pa.array(texts, pa.large_string())], schema=DOCUMENTS)


def ledger_of(count, formats=None, urls=None, licences=None):
    return pa.table(
        {
            "doc_id": pa.array([f"{at:032x}" for at in range(count)], pa.string()),
            "uri": pa.array([f"{at}.txt" for at in range(count)], pa.string()),
            "format": pa.array(formats or ["prose"] * count, pa.string()),
            "url": pa.array(urls or [None] * count, pa.string()),
            "license": pa.array(licences or [None] * count, pa.string()),
        }
    )


def shout(text, options):
    return text.upper() + options.get("end", "")


def vowels(text, options):
    return {"vowels": sum(character in "aeiou" for character in text), "half": len(text) / 2 if text else float("nan")}


def fails(text, options):
    raise KeyError("broken")


def gives_nothing(text, options):
    return None
