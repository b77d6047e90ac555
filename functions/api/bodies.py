"""What callers say: the parts that several bodies share."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from shared.domain.retry import RetryPolicy
from shared.domain.workflow import ShortText, Timeout, Tweaks
from shared.services.submission import Order

DATE = re.compile(r"\d{4}-\d\d-\d\d")


def only_text(value: Any) -> Any:
    """LangFlow would take an object as no input at all and say that all went well."""
    if isinstance(value, dict | list):
        raise ValueError("The input must be text: send JSON as a string.")  # noqa: TRY004  # pydantic knows only this one
    return value


def only_dates(value: Any) -> Any:
    """A number would be taken for seconds since 1970."""
    if not isinstance(value, datetime) and not DATE.match(str(value)):
        raise ValueError("Write an instant like 2030-01-01T12:00:00Z.")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(only_dates)]
RecordId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
InputText = Annotated[str, BeforeValidator(only_text), Field(description="What the flow gets, as text.")]


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class Patch(BaseModel):
    """A body of which only what is sent counts: the defaults of its fields mean nothing and are not documented."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)


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
