"""Published sets of rules as options: each threshold a field with its published default and source.

A field set to null switches its rule off. What a field bounds is written beside it (`signal`, `bound`), so that the
flat rules, the reference documentation and the editor's schema come from one place.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeInt

from headwater.assets.curation.licences import normalise_licence
from headwater.assets.curation.lists import read_list
from headwater.assets.curation.rules import AppliesTo, Rule
from headwater.assets.options import Options

Bound = Literal["min", "max", "above", "under"]
_GOPHER = "Rae et al. 2021, arXiv:2112.11446, A.1.1"
_GOPHER_TABLE = "Rae et al. 2021, arXiv:2112.11446, Table A1"
_C4 = "Raffel et al. 2020, JMLR 21(140), 2.2"
_FINEWEB = "Penedo et al. 2024, arXiv:2406.17557, 3.6"
_CODEX = "Chen et al. 2021, arXiv:2107.03374, 3.1"
_STARCODER = "Li et al. 2023, arXiv:2305.06161, 3.1"
_STARCODER2 = "Lozhkov et al. 2024, arXiv:2402.19173, 3.1"
_OWN = "Headwater's own default"


Count = NonNegativeInt | None


def _limit(signal: str, bound: Bound, default: float | None, text: str, source: str) -> Any:
    """A threshold field. `min` and `max` let the bound itself pass; `above` and `under` do not."""
    told = "off" if default is None else f"{default:g}"
    return Field(
        default=default,
        description=f"{text}. Null switches the rule off. Default {told}: {source}.",
        json_schema_extra={"signal": signal, "bound": bound, "source": source},
    )


class RuleSet(Options):
    """A set of rules that are declared, switched and applied together."""

    kind: str

    def title(self) -> str:
        """The name that begins the names of the set's rules: its kind, and whom it applies to where that is declared.

        A set may be declared twice with different thresholds, once for code and once for prose.
        """
        applies_to = getattr(self, "applies_to", None)
        usual = type(self).model_fields["applies_to"].default if applies_to else None
        return self.kind if applies_to == usual else f"{self.kind}[{applies_to}]"

    def files(self) -> list[str]:
        """The files that lists come from."""
        return []

    def rules(self) -> list[Rule]:
        """The flat rules, in the order of the fields; a list in a file is read here."""
        return self.limits()

    def limits(self) -> list[Rule]:
        """The numeric rules of the set: no file is read."""
        found = []
        for field, info in type(self).model_fields.items():
            extra, value = info.json_schema_extra, getattr(self, field)
            if isinstance(extra, Mapping) and "bound" in extra and value is not None:
                found.append(self._rule(field, float(value), extra))
        return found

    def _rule(self, field: str, value: float, extra: Mapping[str, Any]) -> Rule:
        lower = extra["bound"] in ("min", "above")
        return Rule(
            name=f"{self.title()}.{field}",
            signal=self.signal_of(str(extra["signal"])),
            min=value if lower else None,
            max=None if lower else value,
            exclusive=extra["bound"] in ("above", "under"),
            applies_to=getattr(self, "applies_to", "any"),
            source=str(extra["source"]),
        )

    def signal_of(self, signal: str) -> str:
        """The column that a field bounds; a set with columns of its own names them."""
        return signal


def _applies(default: AppliesTo) -> Any:
    return Field(
        default=default, description="The documents that the set applies to, by format: any, prose, code or data."
    )


class GopherQuality(RuleSet):
    """Document quality as for Gopher. Words are split at whitespace; stop words count once each, in any case."""

    kind: Literal["gopher_quality"] = Field(default="gopher_quality", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("prose")
    min_words: Count = _limit("words", "min", 50, "Fewest words", _GOPHER)
    max_words: Count = _limit("words", "max", 100_000, "Most words", _GOPHER)
    min_mean_word_length: float | None = _limit(
        "mean_word_length", "min", 3, "Shortest mean word length in code points", _GOPHER
    )
    max_mean_word_length: float | None = _limit(
        "mean_word_length", "max", 10, "Longest mean word length in code points", _GOPHER
    )
    max_hash_ratio: float | None = _limit("hash_ratio", "max", 0.1, "Most # characters per word", _GOPHER)
    max_ellipsis_ratio: float | None = _limit("ellipsis_ratio", "max", 0.1, "Most ellipses per word", _GOPHER)
    max_bullet_line_fraction: float | None = _limit(
        "bullet_line_fraction", "max", 0.9, "Largest share of lines that begin with a bullet point", _GOPHER
    )
    max_ellipsis_line_fraction: float | None = _limit(
        "ellipsis_line_fraction", "max", 0.3, "Largest share of lines that end with an ellipsis", _GOPHER
    )
    min_alphabetic_word_fraction: float | None = _limit(
        "alphabetic_word_fraction", "min", 0.8, "Smallest share of words with an alphabetic character", _GOPHER
    )
    min_stop_words: Count = _limit("stop_words", "min", 2, "Fewest distinct English stop words (of 8)", _GOPHER)


def _repeat(signal: str, default: float, text: str) -> Any:
    return _limit(signal, "max", default, f"Largest {text}", _GOPHER_TABLE)


def _top(n: int, default: float) -> Any:
    return _repeat(
        f"top_{n}_gram_char_fraction", default, f"share of characters in the most frequent {n}-gram of words"
    )


def _duplicate(n: int, default: float) -> Any:
    return _repeat(f"duplicate_{n}_gram_char_fraction", default, f"share of characters in repeated {n}-grams of words")


class GopherRepetition(RuleSet):
    """Repetition within a document as for Gopher. A first occurrence is no duplicate; blank lines do not count."""

    kind: Literal["gopher_repetition"] = Field(default="gopher_repetition", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("prose")
    max_duplicate_line_fraction: float | None = _repeat("duplicate_line_fraction", 0.3, "share of repeated lines")
    max_duplicate_paragraph_fraction: float | None = _repeat(
        "duplicate_paragraph_fraction", 0.3, "share of repeated paragraphs"
    )
    max_duplicate_line_char_fraction: float | None = _repeat(
        "duplicate_line_char_fraction", 0.2, "share of characters in repeated lines"
    )
    max_duplicate_paragraph_char_fraction: float | None = _repeat(
        "duplicate_paragraph_char_fraction", 0.2, "share of characters in repeated paragraphs"
    )
    max_top_2_gram_char_fraction: float | None = _top(2, 0.2)
    max_top_3_gram_char_fraction: float | None = _top(3, 0.18)
    max_top_4_gram_char_fraction: float | None = _top(4, 0.16)
    max_duplicate_5_gram_char_fraction: float | None = _duplicate(5, 0.15)
    max_duplicate_6_gram_char_fraction: float | None = _duplicate(6, 0.14)
    max_duplicate_7_gram_char_fraction: float | None = _duplicate(7, 0.13)
    max_duplicate_8_gram_char_fraction: float | None = _duplicate(8, 0.12)
    max_duplicate_9_gram_char_fraction: float | None = _duplicate(9, 0.11)
    max_duplicate_10_gram_char_fraction: float | None = _duplicate(10, 0.10)


class C4(RuleSet):
    """The document filters of C4; its line filters are the transform `c4_lines`, to be declared with it."""

    kind: Literal["c4"] = Field(default="c4", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("prose")
    max_lorem_ipsum: Count = _limit("lorem_ipsum", "max", 0, "Most occurrences of 'lorem ipsum'", _C4)
    max_curly_brackets: Count = _limit("curly_brackets", "max", 0, "Most { characters", _C4)
    min_sentences: Count = _limit("sentences", "min", 5, "Fewest sentences", _C4)
    max_javascript_lines: Count = _limit(
        "javascript_lines", "max", None, "Most lines with 'javascript' (C4 removes such lines)", _OWN
    )
    max_policy_lines: Count = _limit(
        "policy_lines", "max", None, "Most lines of terms or cookie policies (C4 removes such lines)", _OWN
    )
    min_terminal_line_fraction: float | None = _limit(
        "terminal_line_fraction", "min", None, "Smallest share of lines with terminal punctuation", _OWN
    )


class FineWeb(RuleSet):
    """FineWeb's own filters; the bounds themselves are dropped, as published, except that of the newline ratio."""

    kind: Literal["fineweb"] = Field(default="fineweb", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("prose")
    min_terminal_line_fraction: float | None = _limit(
        "terminal_line_fraction", "above", 0.12, "Share of lines that end with punctuation must be above", _FINEWEB
    )
    max_short_line_fraction: float | None = _limit(
        "short_line_fraction", "under", 0.67, "Share of lines of at most 30 code points must be below", _FINEWEB
    )
    max_duplicate_line_char_fraction: float | None = _limit(
        "duplicate_line_char_fraction", "under", 0.01, "Share of characters in repeated lines must be below", _FINEWEB
    )
    max_newline_word_ratio: float | None = _limit(
        "newline_word_ratio", "max", 0.3, "Most line feeds per word (datatrove's FineWebQualityFilter)", _FINEWEB
    )


class Length(RuleSet):
    """How long a document may be."""

    kind: Literal["length"] = Field(default="length", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("any")
    min_bytes: Count = _limit("bytes", "min", None, "Fewest bytes of UTF-8", _OWN)
    max_bytes: Count = _limit("bytes", "max", None, "Most bytes of UTF-8", _OWN)
    min_chars: Count = _limit("chars", "min", None, "Fewest code points", _OWN)
    max_chars: Count = _limit("chars", "max", None, "Most code points", _OWN)
    min_words: Count = _limit("words", "min", 1, "Fewest words: the default drops documents without any", _OWN)
    max_words: Count = _limit("words", "max", None, "Most words", _OWN)


class Code(RuleSet):
    """Code as in Codex, StarCoder and StarCoder2: not generated, not minified, not data in disguise."""

    kind: Literal["code"] = Field(default="code", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("code")
    max_generated: Count = _limit(
        "generated", "max", 0, "1 keeps files whose first five lines say they were generated", _STARCODER2
    )
    max_mean_line_length: float | None = _limit(
        "mean_line_length", "max", 100, "Longest mean line in code points", _CODEX
    )
    max_line_length: Count = _limit("max_line_length", "max", 1000, "Longest line in code points", _CODEX)
    min_alphabetic_fraction: float | None = _limit(
        "alphabetic_fraction", "min", 0.25, "Smallest share of alphabetic among non-whitespace characters", _STARCODER
    )
    max_lines: Count = _limit("lines", "max", 100_000, "Most lines", _STARCODER2)
    max_encoded_fraction: float | None = _limit(
        "encoded_fraction", "max", 0.5, "Largest share of characters in base64-like runs", _STARCODER2
    )
    max_number_fraction: float | None = _limit(
        "number_fraction", "max", 0.5, "Largest share of characters in numbers (decimal, hexadecimal)", _OWN
    )


class Pii(RuleSet):
    """Drop documents with much personal data or with secrets, by the counts found (before any redaction)."""

    kind: Literal["pii"] = Field(default="pii", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("any")
    max_email: Count = _limit("pii_email", "max", 20, "Most e-mail addresses", _OWN)
    max_ip: Count = _limit("pii_ip", "max", None, "Most public IP addresses", _OWN)
    max_phone: Count = _limit("pii_phone", "max", 20, "Most phone numbers", _OWN)
    max_credit_card: Count = _limit("pii_credit_card", "max", 0, "Most credit card numbers", _OWN)
    max_iban: Count = _limit("pii_iban", "max", 0, "Most IBANs", _OWN)
    max_api_key: Count = _limit("pii_api_key", "max", 0, "Most API keys", _OWN)
    max_private_key: Count = _limit("pii_private_key", "max", 0, "Most private keys", _OWN)


class Language(RuleSet):
    """Keep documents in the allowed languages, as the bundled fastText model lid.176.ftz (176 languages) sees them."""

    kind: Literal["language"] = Field(default="language", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("prose")
    allowed: tuple[str, ...] = Field(
        default=("en",), description="Allowed languages as ISO 639 codes, such as en or de."
    )
    min_confidence: float | None = _limit(
        "language_confidence", "min", 0.65, "Smallest probability of the language, 0 to 1", _FINEWEB
    )

    def rules(self) -> list[Rule]:
        """Membership in the allowed languages, then the confidence."""
        listed = Rule(
            f"{self.title()}.allowed", "language", one_of=self.allowed, applies_to=self.applies_to, source="declared"
        )
        return [listed, *self.limits()]


class _Listed(RuleSet):
    """Allow and deny lists over a text signal."""

    applies_to: AppliesTo = _applies("any")
    allow: tuple[str, ...] = Field(
        default=(), description="Keep only documents with one of these; empty: no such rule."
    )
    deny: tuple[str, ...] = Field(default=(), description="Drop documents with one of these; wins over allow.")
    allow_file: str | None = Field(
        default=None, description="A text file with more to allow, one a line; lines that begin with # are comments."
    )
    deny_file: str | None = Field(
        default=None, description="A text file with more to deny, one a line; lines that begin with # are comments."
    )
    unknown: Literal["keep", "drop"] = Field(default="keep", description="What happens to documents that say nothing.")

    def files(self) -> list[str]:
        """The files that the lists come from."""
        return [path for path in (self.allow_file, self.deny_file) if path is not None]

    def _listed(self, signal: str, match: Literal["domain", "license"]) -> list[Rule]:
        allowed = self.allow + read_list(self.allow_file)
        denied = self.deny + read_list(self.deny_file)
        only = tuple(map(self._normal, allowed)) if allowed or self.allow_file else None
        rule = Rule(
            f"{self.title()}.listed",
            signal,
            one_of=only,
            none_of=tuple(map(self._normal, denied)),
            match=match,
            drop_unknown=self.unknown == "drop",
            applies_to=self.applies_to,
            source="declared",
        )
        return [rule] if rule.is_list else []

    def _normal(self, name: str) -> str:
        return name


class UrlList(_Listed):
    """Allow or deny by the domain of a document's URL; a listed domain covers its subdomains."""

    kind: Literal["url_list"] = Field(default="url_list", description="Names this set of rules.")

    def rules(self) -> list[Rule]:
        """One rule over `url_host`."""
        return self._listed("url_host", "domain")

    def _normal(self, name: str) -> str:
        return name.strip().lower().strip(".").removeprefix("*.")


class LicenseList(_Listed):
    """Allow or deny by licence; names are brought to SPDX, `A OR B` needs one allowed, `A AND B` both."""

    kind: Literal["license_list"] = Field(default="license_list", description="Names this set of rules.")

    def rules(self) -> list[Rule]:
        """One rule over `license_id`."""
        return self._listed("license_id", "license")

    def _normal(self, name: str) -> str:
        return normalise_licence(name) or name


class Words(RuleSet):
    """Drop documents with listed words, as C4 does with its bad words; matched whole, in any case."""

    kind: Literal["words"] = Field(default="words", description="Names this set of rules.")
    applies_to: AppliesTo = _applies("any")
    name: str = Field(default="listed", description="Names the list; the signal is words_<name>.")
    words: tuple[str, ...] = Field(default=(), description="The listed words or phrases.")
    file: str | None = Field(
        default=None, description="A text file with more words, one a line; lines that begin with # are comments."
    )
    max_count: Count = _limit("words_", "max", 0, "Most occurrences of listed words", _C4)

    def title(self) -> str:
        """`words.<name>`: several lists may be declared."""
        return f"words.{self.name}"

    def files(self) -> list[str]:
        """The file that the list comes from."""
        return [] if self.file is None else [self.file]

    def signal_of(self, signal: str) -> str:
        """The list's own column."""
        return signal + self.name
