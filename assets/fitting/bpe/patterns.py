"""What a word is, by the name a declaration gives it, and by which character its bytes are written in a tokenizer."""

from tokenizers import pre_tokenizers

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# Regular expressions that cut a whole text into adjoining pieces.
PATTERNS: dict[str, str] = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "digits_of_three": _WORDS % "{1,3}",
    "single_digits": _WORDS % "",
}


def symbols_of_bytes() -> list[str]:
    """The character by which byte-level tokenizers write each byte (256 of them)."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    printable = [byte for byte in range(256) if chr(byte) in alphabet]
    others = iter(sorted(set(alphabet) - set(map(chr, printable)), key=ord))
    return [chr(byte) if byte in printable else next(others) for byte in range(256)]
