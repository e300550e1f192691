"""Telling somebody: a program that is started, or a request that is posted. What fails here is said, and stops nothing.

Addresses and header values may be secrets: messages name the host at most.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from headwater.assets.automation.declaration import CommandAlert, WebhookAlert
from headwater.assets.automation.events import AlertEvent

PAUSE_SECONDS = 0.5  # before the second attempt, doubled before each further one
WORTH_RETRYING = (408, 425, 429, 500, 502, 503, 504)


class DeliveryError(Exception):
    """An alert did not arrive; the message says why, without addresses and values that may be secret."""


def deliver(event: AlertEvent, alert: CommandAlert | WebhookAlert, folder: Path) -> None:
    """Tells one event one way.

    Raises:
        DeliveryError: it did not arrive.
    """
    if isinstance(alert, CommandAlert):
        _run(event, alert, folder)
    else:
        _post(event, alert)


def name_of(alert: CommandAlert | WebhookAlert) -> str:
    """What logs call an alert: the program, or the host."""
    if isinstance(alert, CommandAlert):
        return f"the command {Path(alert.command[0]).name}"
    return f"the webhook at {urlsplit(alert.url).hostname or 'an address without a host'}"


def _run(event: AlertEvent, alert: CommandAlert, folder: Path) -> None:
    try:
        done = subprocess.run(
            alert.command,
            input=json.dumps(event.as_json(), default=str) + "\n",  # one event a line, where a program appends
            cwd=folder,
            env={**os.environ, **_environment(event)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=alert.timeout_seconds,
        )
    except subprocess.TimeoutExpired:
        raise DeliveryError(f"it took longer than {alert.timeout_seconds:g} s and was ended") from None
    except OSError as error:
        raise DeliveryError(f"it cannot be started: {error.strerror}") from None
    if done.returncode:
        raise DeliveryError(f"exit status {done.returncode}: {done.stdout.strip()[-500:]}")


def _environment(event: AlertEvent) -> Mapping[str, str]:
    told = {"EVENT": event.event, "TEXT": event.text, "PIPELINE": event.pipeline}
    told |= {"ASSET": event.asset, "CHECK": event.check, "RUN": event.run}
    return {f"HEADWATER_ALERT_{name}": value.replace("\0", "") for name, value in told.items()}


def _post(event: AlertEvent, alert: WebhookAlert) -> None:
    import requests  # loading declarations does not need it
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        total=alert.attempts - 1,
        backoff_factor=PAUSE_SECONDS,
        backoff_max=4,
        status_forcelist=WORTH_RETRYING,
        allowed_methods=["POST"],
        respect_retry_after_header=False,  # a tick has no time for what a server may ask for
    )
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        try:
            answer = session.post(
                alert.url,
                data=json.dumps(event.as_json(), default=str),
                headers={"Content-Type": "application/json", **alert.headers, **_secrets(alert)},
                auth=lambda request: request,  # else a netrc file would replace the header Authorization
                timeout=alert.timeout_seconds,
                allow_redirects=False,  # a secret header goes to no other host
            )
        except requests.RequestException as error:
            raise DeliveryError(_reason(error)) from None
    if not answer.ok or answer.is_redirect:
        raise DeliveryError(f"it answered {answer.status_code} {answer.reason}")


def _secrets(alert: WebhookAlert) -> dict[str, str]:
    missing = [variable for variable in alert.secret_headers.values() if not os.environ.get(variable)]
    if missing:
        raise DeliveryError(f"the environment variable {missing[0]} (secret_headers) is not set where the daemon runs")
    return {header: os.environ[variable] for header, variable in alert.secret_headers.items()}


def _reason(error: Exception) -> str:
    """Why a request failed, without its address: requests' own messages hold the path."""
    from requests import ConnectTimeout, ReadTimeout
    from urllib3.exceptions import MaxRetryError, ResponseError

    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError) and isinstance(cause.reason, ResponseError):
        return f"after every attempt: {cause.reason}"
    if isinstance(error, ConnectTimeout | ReadTimeout):
        return "no answer in time"
    root: BaseException = error
    while (deeper := root.__cause__ or root.__context__) is not None:
        root = deeper
    return f"{root.strerror or type(root).__name__}" if isinstance(root, OSError) else type(root).__name__
