"""A store with a past, made once for all tests that only read it."""

from pathlib import Path

import pytest
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, prose, reworded, tiny_training

from headwater.assets.evaluation.component import Evaluation

MIXTURE = ({"name": "notes", "weight": 3}, {"name": "more", "weight": 1})


def components(steps: int):
    return (
        notes(source={"id_field": "id", "license_field": "license"}),
        notes("more", "more.jsonl"),
        bytes_tokenizer(),
        packed(MIXTURE),
        tiny_training(steps),
        Evaluation(name="exam", training="tiny", held_out="packed"),
    )


def documents(texts: list[str]) -> list[dict[str, str]]:
    """Documents with one exact copy, one near-duplicate and one that is too short."""
    made = [{"id": f"d{n}", "text": text, "license": "MIT" if n % 2 else None} for n, text in enumerate(texts)]
    extra = {"copy": texts[0], "near": reworded(texts[1]), "short": "two words"}
    return [{k: v for k, v in one.items() if v} for one in made] + [{"id": i, "text": t} for i, t in extra.items()]


@pytest.fixture(scope="package")
def past(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Trained twice: then document d5 had changed, d6 and d7 were gone, and two documents had come."""
    folder: Path = tmp_path_factory.mktemp("past")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_ENGINE", "local")
        lab = Lab(folder / "workspace", folder / "store")
        found = documents([prose(n) for n in range(40)])
        lab.write_jsonl("notes.jsonl", found)
        plant(lab, 12, "more.jsonl", first=300, words=25)
        lab.run(*components(40))
        kept = [one for one in found if one["id"] not in ("d6", "d7")]
        changed = [one | {"text": prose(900)} if one["id"] == "d5" else one for one in kept]
        came = [{"id": f"new{n}", "text": prose(910 + n)} for n in range(2)]
        lab.write_jsonl("notes.jsonl", changed + came)
        lab.run(*components(60))
    return lab
