"""Personal data and secrets in text: patterns with checksums where the kind has one.

Cheap exact tests come first (no @, no e-mail address), so that most documents cost one scan. What is found is counted
and, if wanted, replaced by a placeholder. Documentation addresses (127.0.0.1, 192.168.x.x, numbers that fail their
checksum) are no personal data and stay.
"""

import ipaddress
import re
from collections.abc import Callable, Container, Iterable
from functools import lru_cache
from typing import NamedTuple

Check = Callable[[str], bool]


class Finder(NamedTuple):
    """How one kind is found: a pattern, a test of the match, and characters or words without which it cannot occur."""

    pattern: re.Pattern[str]
    check: Check
    hints: tuple[str, ...] = ()

    def may_find(self, text: str) -> bool:
        """Whether a text has one of the hints, where the kind has any."""
        return not self.hints or any(hint in text for hint in self.hints)


def passes_luhn(number: str) -> bool:
    """Whether 13 to 19 digits, separators ignored, pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    digits = [int(character) for character in number if character.isascii() and character.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [digit if at % 2 == 0 else sum(divmod(2 * digit, 10)) for at, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether an IBAN's check digits are right: the rearranged number is 1 modulo 97 (ISO 13616, ISO/IEC 7064)."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


@lru_cache(maxsize=1 << 14)
def is_public_ip(text: str) -> bool:
    """Whether an IPv4 or IPv6 address may belong to somebody: private and documentation ranges do not."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def is_phone(text: str) -> bool:
    """Whether a match has the 8 to 15 digits of an international number (ITU-T E.164), or 10 as in North America."""
    digits = sum(character.isdigit() for character in text)
    return 8 <= digits <= 15 if text.startswith("+") else digits == 10


def _is_card(text: str) -> bool:
    return text[0] in "3456" and passes_luhn(text)  # the major industry identifiers of payment cards


def _always(text: str) -> bool:
    return True


_EMAIL = (
    r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}(?![\w@-])"
)
_IP = (
    r"(?<![\w.:])(?:\d{1,3}\.){3}\d{1,3}(?![\w:]|\.\d)"
    r"|(?<![\w.:])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,7}(?![\w:])"
)
_PHONE = (
    r"(?<![\w+.-])\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}(?![\w-])"
    r"|(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])"
)
_CARD = r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)"
_IBAN = r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?!\w)"
# Prefixes that the issuers document: AWS, GitHub, GitLab, Slack, Google, Stripe, OpenAI and Anthropic, PyPI, npm, HF.
_API_KEY = (
    r"(?<![\w-])(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|glpat-[A-Za-z0-9_-]{20,}|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|[sr]k_live_[0-9A-Za-z]{16,}"
    r"|sk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}|pypi-[A-Za-z0-9_-]{50,}|npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,})(?![\w-])"
)
_API_HINTS = ("AKIA", "ASIA", "gh", "glpat-", "xox", "AIza", "k_live_", "sk-", "pypi-", "npm_", "hf_")
_PRIVATE_KEY = r"-----BEGIN ([A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?)-----[^-]{40,20000}(?:-----END \1-----)?"

FINDERS: dict[str, Finder] = {
    "email": Finder(re.compile(_EMAIL), _always, ("@",)),
    "ip": Finder(re.compile(_IP), is_public_ip),
    "phone": Finder(re.compile(_PHONE), is_phone),
    "credit_card": Finder(re.compile(_CARD), _is_card),
    "iban": Finder(re.compile(_IBAN), is_iban),
    "api_key": Finder(re.compile(_API_KEY), _always, _API_HINTS),
    "private_key": Finder(re.compile(_PRIVATE_KEY), _always, ("PRIVATE KEY",)),
}


def placeholder(kind: str) -> str:
    """What a found value is replaced by: `<EMAIL>`."""
    return f"<{kind.upper()}>"


def redact(text: str, kinds: Iterable[str], possible: Container[str] = FINDERS) -> tuple[str, dict[str, int]]:
    """Replace what is found by placeholders, kind after kind.

    Args:
        text: any text.
        kinds: names of `FINDERS`, in the order in which they are looked for.
        possible: the kinds that the text may have; after a first placeholder, which may part what stood together, all.

    Returns:
        The changed text, and how many of each kind were replaced.
    """
    counts, changed = {}, text
    for kind in kinds:
        counts[kind] = 0
        if kind in possible or changed != text:
            changed, counts[kind] = _redact_kind(changed, kind)
    return changed, counts


def _redact_kind(text: str, kind: str) -> tuple[str, int]:
    finder, found = FINDERS[kind], 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        if not finder.check(match.group()):
            return match.group()
        found += 1
        return placeholder(kind)

    if not finder.may_find(text):
        return text, 0
    return finder.pattern.sub(replace, text), found


def count(text: str, kind: str) -> int:
    """How many values of one kind a text has."""
    finder = FINDERS[kind]
    if not finder.may_find(text):
        return 0
    return sum(finder.check(match.group()) for match in finder.pattern.finditer(text))
