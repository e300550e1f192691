"""Small documents of which many resemble each other just so, for properties over random corpora."""

from hypothesis import strategies as st

from headwater.assets.deduplication.options import DeduplicationOptions, JaccardOptions, MinHashOptions

RANKS = {"web": 0, "books": 1, "code": 2}
OPTIONS = DeduplicationOptions(
    near=MinHashOptions(words=2, permutations=16, bands=8, rows=2, threshold=0.5),
    verifier=JaccardOptions(threshold=0.5, words=2),
)
BASES = [
    "one two three four five six seven eight",
    "red green blue red green black white grey",
    "alpha beta Gamma\tdelta epsilon zeta eta theta iota",
    "a b",
    "word",
    "",
    "?! --",
]


@st.composite
def _documents(draw):
    """A few base texts with single-word edits, changed case and spaces: many pairs lie around the threshold."""
    words = draw(st.sampled_from(BASES)).split(" ")
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(words) - 1))
        action = draw(st.sampled_from(["replace", "drop", "append"]))
        if action == "replace":
            words[place] = draw(st.sampled_from(["x", "y"]))
        elif action == "append":
            words.append(draw(st.sampled_from(["x", "y"])))
        elif len(words) > 1:
            del words[place]
    text = draw(st.sampled_from([" ", "  ", "\n"])).join(words)
    return draw(st.sampled_from([text, text.upper(), f" {text}\n", text + "!"]))


ROWS = st.fixed_dictionaries(
    {
        "text": _documents(),
        "split": st.sampled_from(["train", "train", "train", "held_out"]),
        "source": st.sampled_from(sorted(RANKS)),
        "date": st.sampled_from([None, "2020-01-01", "2021-05-05"]),
    }
)
