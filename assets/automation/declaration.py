"""What a declaration may say about automation: which sources are watched, what follows, when, and who is told."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from headwater.assets.options import ANY_COMPONENT, NAME, Options

# A tick of a sensor may take a minute; deliveries of one tick end well before.
LONGEST_DELIVERY_SECONDS = 30
TEMPLATE = "{{"

Occasion = Literal["failure", "blocking_check", "blocked_promotion", "warning"]


class WatchedCorpus(Options):
    """A corpus whose sources are listed again and again; a listing that differs requests a run."""

    corpus: str = Field(pattern=NAME, description="The Corpus whose sources are listed; no file is opened for it.")
    every_seconds: int = Field(30, ge=1, description="Least time between two listings, in seconds.")
    quiet_seconds: int = Field(
        0,
        ge=0,
        description="A run is requested once the listing stayed the same for this long: for files that take "
        "time to be copied, in seconds.",
    )
    retry_minutes: float | None = Field(
        60,
        gt=0,
        description="A requested run that failed is requested again after this many minutes, although no file changed "
        "since; null: only once files change again.",
    )


class Schedule(Options):
    """Assets that are brought up to date at given times, whatever changed; what did not is reused."""

    name: str = Field(pattern=NAME, description="What the schedule is called in the UI, after the automation's name.")
    cron: str = Field(
        description='When: minute, hour, day of month, month, day of week, such as "0 3 * * *", or @hourly, @daily, '
        "@weekly, @monthly."
    )
    timezone: str = Field("UTC", description="Time zone of `cron` by its IANA name, such as Europe/Berlin.")
    assets: Literal["all"] | list[str] = Field(
        "all", description="Components (notes) or single assets (notes/raw); `all` of this pipeline."
    )
    upstream: bool = Field(True, description="Also what these assets are made from.")

    @field_validator("cron")
    @classmethod
    def _cron_is_valid(cls, cron: str) -> str:
        from dagster import DagsterInvalidDefinitionError, ScheduleDefinition  # declarations load without Dagster

        try:
            ScheduleDefinition(name="check", job_name="check", cron_schedule=cron)
        except DagsterInvalidDefinitionError:
            raise ValueError(
                f'cron is {cron!r}: give minute, hour, day of month, month and day of week, such as "0 3 * * *"'
            ) from None
        return cron

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"timezone {timezone!r} is unknown: give an IANA name such as Europe/Berlin") from None
        return timezone

    @field_validator("assets")
    @classmethod
    def _something_is_asked_for(cls, assets: str | list[str]) -> str | list[str]:
        if not assets:
            raise ValueError("assets is empty: name components or assets, or leave it out for all")
        return assets


class AlertOptions(Options):
    """On which occasions somebody is told."""

    when: list[Occasion] = Field(
        ["failure", "blocking_check", "blocked_promotion"],
        description="failure: a run ended with an error. blocking_check: a check failed and stopped what is "
        "downstream. blocked_promotion: a new checkpoint did not become current. warning: a check failed that stops "
        "nothing.",
    )

    @field_validator("when")
    @classmethod
    def _some_occasion(cls, when: list[Occasion]) -> list[Occasion]:
        if not when:
            raise ValueError("when is empty: name an occasion, or remove the alert")
        return when


class CommandAlert(AlertOptions):
    """A program is started in the workspace folder, with the event as JSON on its standard input."""

    kind: Literal["command"] = "command"
    command: list[str] = Field(
        min_length=1,
        description="The program and its arguments; no shell reads them. The environment names the event, too: "
        "HEADWATER_ALERT_EVENT, _TEXT, _PIPELINE, _ASSET, _CHECK and _RUN.",
    )
    timeout_seconds: float = Field(
        20, gt=0, le=LONGEST_DELIVERY_SECONDS, description="The program is ended after this many seconds."
    )


class WebhookAlert(AlertOptions):
    """The event is posted as JSON; its field `text` is one line, which chat services show."""

    kind: Literal["webhook"] = "webhook"
    url: str = Field(description="Where to; http or https. An address that is a secret: '{{ env.ALERT_URL }}'.")
    headers: dict[str, str] = Field({}, description="Further headers of the request.")
    secret_headers: dict[str, str] = Field(
        {}, description="Headers whose value is in an environment variable: header to the variable's name."
    )
    attempts: int = Field(3, ge=1, le=5, description="How often it is tried, with growing pauses, before giving up.")
    timeout_seconds: float = Field(5, gt=0, description="How long one attempt may take, in seconds.")

    @field_validator("url")
    @classmethod
    def _url_has_a_scheme(cls, url: str) -> str:
        if not url.startswith(("http://", "https://", TEMPLATE)):
            raise ValueError("url must begin with http:// or https://")
        return url

    @model_validator(mode="after")
    def _ends_in_time(self) -> Self:
        if self.attempts * self.timeout_seconds > LONGEST_DELIVERY_SECONDS:
            raise ValueError(
                f"timeout_seconds times attempts is {self.attempts * self.timeout_seconds:g}; "
                f"{LONGEST_DELIVERY_SECONDS} seconds are the most"
            )
        return self


Alert = Annotated[CommandAlert | WebhookAlert, Field(discriminator="kind")]


class AutomationOptions(Options):
    """What happens by itself in the pipeline of this folder: sources watched, content followed, schedules, alerts."""

    name: str = Field(pattern=NAME, description="Name of the automation: the names of its sensors begin with it.")
    description: str = Field("", description="Shown with its sensors and schedules.")
    running: bool = Field(
        True, description="Whether sensors and schedules are on from the start; the UI switches each on and off."
    )
    watch: list[WatchedCorpus] = Field([], description="Corpora whose sources are watched for files.")
    follow_content: bool = Field(
        False,
        description="Every asset of this pipeline is brought up to date when the content of what it is made from, its "
        "options or its code change; a run that changes nothing moves nothing.",
    )
    schedules: list[Schedule] = Field([], description="Assets that are brought up to date at given times.")
    alerts: list[Alert] = Field([], description="Who is told when something goes wrong.")

    @field_validator("watch", "schedules")
    @classmethod
    def _each_once(cls, entries: Sequence[WatchedCorpus | Schedule]) -> Sequence[WatchedCorpus | Schedule]:
        names = [entry.corpus if isinstance(entry, WatchedCorpus) else entry.name for entry in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"'{twice[0]}' is given twice: keep one of them")
        return entries

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.watch or self.follow_content or self.schedules or self.alerts):
            raise ValueError("it automates nothing: give watch, follow_content, schedules or alerts")
        return self

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`headwater.assets.options.ComponentOptions`."""
        corpora = [(("watch", n, "corpus"), "Corpus", watched.corpus) for n, watched in enumerate(self.watch)]
        scheduled = [
            (("schedules", n, "assets", place), ANY_COMPONENT, name)
            for n, schedule in enumerate(self.schedules)
            for place, name in enumerate(schedule.assets if schedule.assets != "all" else [])
        ]
        return [*corpora, *scheduled]
