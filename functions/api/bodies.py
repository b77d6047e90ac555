"""What callers say: the parts that several bodies share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.retry import RetryPolicy
from shared.domain.workflow import InputText, ShortText, Timeout, Tweaks
from shared.services.submission import Order

RecordId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class Patch(BaseModel):
    """A body of which only what is sent counts: the defaults of its fields mean nothing and are not documented."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)


class RetryPatch(Patch, RetryPolicy):
    """Some of a retry policy."""


class RunFields(BaseModel):
    """What a run may be told beyond its workflow. What is left out stands in the workflow's settings."""

    model_config = ConfigDict(extra="forbid")

    input: InputText
    session_id: ShortText | None = Field(
        None, description="The conversation in LangFlow; null: one for this run alone."
    )
    tweaks: Tweaks | None = Field(None, description="Added to the workflow's tweaks.")
    timeout_seconds: Timeout | None = None
    retry: RetryPolicy | None = None

    def order(self) -> Order:
        return Order(
            input=self.input,
            session_id=self.session_id,
            tweaks=self.tweaks,
            timeout_seconds=self.timeout_seconds,
            retry=self.retry,
        )
