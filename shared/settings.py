"""The environment: every variable Spark reads, read once, when first asked for. Nothing else reads it."""

import os
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, field_validator

from shared.domain.outbound import AllowList

if TYPE_CHECKING:  # only the API counts
    from shared.domain.limit import Limits

PREFIX = "SPARK_"


class Settings(BaseModel):
    """`SPARK_<NAME>`; set by `template.yaml`.

    A plain model: pydantic-settings would add 30 ms to each cold start for what one line below does.
    """

    # What is wrong goes to the log; the value itself may be a password in an address.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    stage: str = "local"
    log_level: str = "INFO"
    table: str = ""
    run_queue_url: str = ""
    payload_bucket: str = ""
    kms_key_id: str = ""
    bootstrap_secret_id: str = ""
    wake_after_seconds: int = 300
    cors_origins: str = ""
    outbound_allow: str = ""
    requests_per_minute: int = 600
    requests_per_day: int = 0
    refusals_per_minute: int = 120
    public_url: str = ""
    open_registration: bool = False
    mail_from: str = ""
    outbox: str = ""
    sms: bool = False
    tracing: bool = False
    otlp_endpoint: str = ""  # read by `domain.receiver` when there is a trace to send: no run shall fail for it
    otlp_secret_id: str = ""
    otlp_content: bool = False

    @field_validator("outbound_allow")
    @classmethod
    def _can_be_read(cls, text: str) -> str:
        """A mistake in it shows when a function starts, not when it first calls somebody."""
        AllowList.read(text)
        return text

    @property
    def is_local(self) -> bool:
        return self.stage == "local"

    @property
    def wake_after(self) -> timedelta:
        """How long after its due time a run may stay untouched before the tick sends it again."""
        return timedelta(seconds=self.wake_after_seconds)

    @property
    def allowed_origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def sends_mail(self) -> bool:
        return bool(self.mail_from or self.outbox)

    @property
    def usual_limits(self) -> "Limits":
        """Of a key that has none of its own; 0 is none."""
        from shared.domain.limit import Limits

        return Limits(self.requests_per_minute or None, self.requests_per_day or None)

    @property
    def stranger_limits(self) -> "Limits":
        """Of an address, as to requests that no key vouches for."""
        from shared.domain.limit import Limits

        return Limits(self.refusals_per_minute or None)

    @property
    def issuer(self) -> str:
        """Who signs access tokens. Not the host of a request: that is what its sender says it is."""
        return self.public_url or f"urn:spark:{self.stage}"

    @property
    def deployment(self) -> str:
        """What letters call this Spark."""
        return self.public_url or f"Spark ({self.stage})"

    @property
    def outbound(self) -> AllowList:
        """What may be called besides public addresses."""
        return AllowList.read(self.outbound_allow)


@cache
def settings() -> Settings:
    """The settings of this process."""
    names = {name: f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return Settings.model_validate({name: os.environ[key] for name, key in names.items() if key in os.environ})
