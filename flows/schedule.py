"""The `schedule`, `watch` and `notify` parts of a recipe: when it runs by itself, and who is told."""

from datetime import UTC, datetime
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrulestr
from pydantic import Field, field_validator, model_validator

from records.base import Record

Occasion = Literal["promoted", "refused", "data_refused", "failed", "waiting", "refused_in_a_row"]
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)


class ScheduleConfig(Record):
    """One of cron, every_s or rrule; times are those of the time zone."""

    cron: str | None = Field(
        None, description='Minute, hour, day, month, weekday: "0 3 * * *" is every night at three.'
    )
    every_s: float | None = Field(None, ge=1, le=366 * 86400, description="Interval, seconds.")
    rrule: str | None = Field(
        None, description='RFC 5545: "FREQ=MONTHLY;BYDAY=1MO;BYHOUR=3;BYMINUTE=0;BYSECOND=0".'
    )
    timezone: str = Field("UTC", description="IANA name, e.g. Europe/Berlin.")
    is_active: bool = Field(True, description="Whether it runs; false: only by hand.")

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as exc:
            raise ValueError("is no IANA time zone; write e.g. Europe/Berlin or UTC") from exc
        return value

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if len(value.split()) != 5:
            raise ValueError("needs five fields: minute, hour, day, month, weekday")
        try:
            next(CronSim(value, datetime.now(UTC)))
        except CronSimError as exc:
            raise ValueError(f"is no cron expression: {exc}") from exc
        except StopIteration as exc:
            raise ValueError("never comes true; check day and month") from exc
        return value

    @field_validator("rrule")
    @classmethod
    def _is_rule(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                rrulestr(value)
            except (ValueError, KeyError, TypeError, AttributeError) as exc:
                raise ValueError(f"is no RFC 5545 rule: {exc}") from exc
        return value

    @model_validator(mode="after")
    def _says_when_once(self) -> "ScheduleConfig":
        given = [n for n in ("cron", "every_s", "rrule") if getattr(self, n) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            raise ValueError(f"give one of cron, every_s and rrule, not {said}")
        return self

    def __str__(self) -> str:
        """For people."""
        if self.every_s is not None:
            said = f"every {self.every_s:g} s"
        else:
            said = f"{self.cron or self.rrule} ({self.timezone})"
        return said if self.is_active else f"{said}, switched off"


class WatchConfig(Record):
    """The `watch` part of a recipe."""

    every_s: float = Field(300.0, ge=1, le=366 * 86400, description="Between two looks, seconds.")
    min_new_rows: int = Field(
        1, description="Fewer rows more than last time start nothing; may be negative."
    )
    settle_s: float = Field(
        5.0, ge=0, le=60, description="The files must stand still so long: others may follow."
    )


class NotifyConfig(Record):
    """The `notify` part of a recipe. It holds no address: those are secrets."""

    on: tuple[Occasion, ...] = Field(
        OCCASIONS, description="What is told; [] tells nothing. failed: a run failed or crashed."
    )
    refused_in_a_row: int = Field(
        3,
        ge=2,
        le=1000,
        description="So many refusals without a promotion between, and each so many more, are told.",
    )
    block: str | None = Field(
        None,
        pattern=r"^[a-z0-9-]+/[a-z0-9-]+$",
        description="Notification block saved in Prefect, as type/name: slack-webhook/ops. "
        "Absent: the address in REFIT_NOTIFY_URL, when it is deployed.",
    )
