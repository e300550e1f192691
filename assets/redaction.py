"""What must not be told: passwords in addresses, signatures in their queries, values of secret environment variables.

Texts that leave a run (messages, log lines, options in records) pass through here. Which variables are secret is told
by their names, word by word: `DB_PASSWORD` and `HF_TOKEN` are, `MONKEY_PATH` and `TOKENIZERS_PARALLELISM` are not.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

HIDDEN = "***"
MIN_LENGTH = 6  # shorter values occur by chance
MIN_OPTION_LENGTH = 12  # in options, where what is hidden decides an identity, unless a declaration names the variable

_SECRET_WORDS = frozenset({"KEY", "APIKEY", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "SAS", "DSN"})
_PASSWORDS = frozenset({"PASS", "PASSWORD", "PASSWD", "PASSPHRASE", "PWD"})
_FOLDERS = ("PWD", "OLDPWD")
_declared: set[str] = set()  # secret values that declarations of this process name
_LOGIN = re.compile(r"(?<=://)[^\s/@:'\"]*:[^\s/@'\"]*@")  # user and password of an address
_SIGNATURE = re.compile(
    r"(?i)([?&](?:[\w-]*(?:signature|credential|token|secret|password|api_?key|accesskeyid)[\w-]*|sig)=)[^\s&'\"#]+"
)


@cache
def is_secret(variable: str) -> bool:
    """Whether the name of an environment variable says that its value is secret."""
    words = set(re.split(r"[^A-Z0-9]+", variable.upper()))
    return variable not in _FOLDERS and bool(words & (_SECRET_WORDS | _PASSWORDS))


def note_declared(template: str) -> None:
    """Remembers the values of secret variables that a template of a declaration names, such as `{{ env.HF_TOKEN }}`."""
    for name in re.findall(r"\benv\W+(\w+)", template):
        if is_secret(name) and (value := os.environ.get(name)):
            _declared.add(value)


def redacted(text: str) -> str:
    """The text without secret values of this process's environment, and without logins and signatures of addresses."""
    for value in sorted(set(_secret_values()), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _SIGNATURE.sub(rf"\g<1>{HIDDEN}", _LOGIN.sub(f"{HIDDEN}@", text)) if "://" in text else text


def _secret_values() -> Iterator[str]:
    yield from _declared
    for name, value in os.environ.items():
        if is_secret(name) and len(value) >= MIN_LENGTH:
            yield value
        elif "://" in value and "@" in value:
            password = _password(value)
            if password and len(password) >= MIN_LENGTH:
                yield password


def _password(address: str) -> str | None:
    try:
        return urlsplit(address).password
    except ValueError:
        return None


def redacted_options(value: Any) -> Any:
    """JSON values of a declaration as a record may hold them.

    Logins and signatures go: they open a place and do not say which. A secret value of the environment becomes a short
    digest, so that another value is still another option.
    """
    secrets = [held for name, held in os.environ.items() if is_secret(name) and len(held) >= MIN_OPTION_LENGTH]
    return _redacted_option(value, sorted({*secrets, *_declared}, key=len, reverse=True))


def _redacted_option(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, dict):
        return {name: _redacted_option(item, secrets) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted_option(item, secrets) for item in value]
    if not isinstance(value, str):
        return value
    if "://" in value:
        value = _SIGNATURE.sub(rf"\g<1>{HIDDEN}", _LOGIN.sub("", value))
    for secret in secrets:
        if secret in value:
            value = value.replace(secret, HIDDEN + hashlib.blake2b(secret.encode(), digest_size=4).hexdigest())
    return value


def redact_error(error: BaseException) -> BaseException:
    """The same error, its message and those of its causes redacted in place.

    Where a message is not made of its arguments, the error to raise instead, which says the redacted message alone.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if not _redact_in_place(current):
            return RuntimeError(f"{type(error).__name__}: {redacted(str(error))}")
        current = current.__cause__ or current.__context__
    return error


def _redact_in_place(error: BaseException) -> bool:
    """Whether the error tells no secret any more."""
    told = str(error)
    if redacted(told) == told:
        return True
    error.args = tuple(redacted(part) if isinstance(part, str) else part for part in error.args)
    for name in ("filename", "filename2", "strerror"):
        if isinstance(part := getattr(error, name, None), str):
            setattr(error, name, redacted(part))
    told = str(error)
    return redacted(told) == told
