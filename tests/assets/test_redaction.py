import pytest

from headwater.assets import redaction
from headwater.assets.redaction import is_secret, redact_error, redacted, redacted_options

SECRET = "s3cr3t-planted-v4lue"


@pytest.mark.parametrize("name", ["DB_PASSWORD", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_pwd", "SENTRY_DSN", "KEY"])
def test_names_that_say_so_are_secret(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "MONKEY_PATH", "TOKENIZERS_PARALLELISM", "PATH", "KEYBOARD"])
def test_names_that_only_look_like_it_are_not(name):
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"key {SECRET}!", "key ***!"),
        ("s3://me:hunter2@bucket/a", "s3://***@bucket/a"),
        ("sftp://me@host/a", "sftp://me@host/a"),
        ("https://h/a?X-Amz-Signature=abc&page=2", "https://h/a?X-Amz-Signature=***&page=2"),
        ("https://h/a?sv=1&sig=a%2Fb", "https://h/a?sv=1&sig=***"),
        ("https://h/a?design=flat", "https://h/a?design=flat"),
        ("nothing to hide: 3:4@5", "nothing to hide: 3:4@5"),
        ("refused hunter22", "refused ***"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(monkeypatch, text, told):
    monkeypatch.setenv("API_TOKEN", SECRET)
    monkeypatch.setenv("SOURCE_URL", "https://me:hunter22@host/path")
    assert redacted(text) == told


def test_options_lose_logins_and_keep_secrets_apart_by_a_digest(monkeypatch):
    options = {"path": f"https://me:pw@h/{SECRET}/*", "words": (1, SECRET, None)}
    monkeypatch.setenv("API_TOKEN", SECRET)
    first = redacted_options(options)
    assert first["path"].startswith("https://h/***")
    assert SECRET not in str(first)
    assert first["words"][0] == 1
    assert first == redacted_options(options)
    monkeypatch.setenv("API_TOKEN", "another-v4lue")
    assert redacted_options({"words": ["another-v4lue"]})["words"] != first["words"][1:2]


def test_a_short_value_is_hidden_in_options_only_where_a_declaration_names_its_variable(monkeypatch):
    monkeypatch.setattr(redaction, "_declared", set())
    monkeypatch.setenv("DB_PASSWORD", "postgres")
    options = {"path": "dumps/postgres/*.jsonl"}
    assert redacted_options(options) == options
    redaction.note_declared("{{ env.DB_PASSWORD }}")
    assert "postgres" not in str(redacted_options(options))
    redaction.note_declared("{{ env.DATA_FOLDER }}")
    assert len(redaction._declared) == 1


def test_a_rotated_password_is_the_same_option():
    one, two = (redacted_options([f"https://me:{password}@h/a"]) for password in ("old", "new"))
    assert one == two == ["https://h/a"]


def test_an_error_keeps_its_type_and_loses_its_secret_and_that_of_its_causes(monkeypatch):
    monkeypatch.setenv("API_TOKEN", SECRET)
    error = ValueError(f"no {SECRET}")
    error.__cause__ = OSError(2, f"missing {SECRET}", f"/x/{SECRET}")
    assert redact_error(error) is error
    assert str(error) == "no ***"
    assert SECRET not in str(error.__cause__)
    assert error.__cause__.errno == 2


class Stubborn(Exception):
    def __str__(self):
        return f"always {SECRET}"


def test_an_error_that_cannot_be_mended_is_replaced(monkeypatch):
    monkeypatch.setenv("API_TOKEN", SECRET)
    outer = ValueError("harmless")
    outer.__context__ = Stubborn()
    for error in (Stubborn(), outer):
        told = redact_error(error)
        assert told is not error
        assert SECRET not in str(told)
        assert told.__cause__ is None
