"""A source: one LangFlow instance that flows are imported from and run on."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from shared.domain.record import Instant, Record

MAX_CONCURRENCY = 100  # the leases of a source share one item


def read_url(text: str) -> str:
    """`text` as the address of a LangFlow instance, without the slash at its end.

    Whether this deployment may call it is another question: see `outbound`.

    Raises:
        ValueError: it is none.
    """
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("The URL must begin with http:// or https:// and name a host.")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("The URL must consist of visible ASCII characters.")
    if url.username is not None or url.password is not None:
        raise ValueError("The URL must not contain credentials; put the key into api_key.")
    if url.query or url.fragment:
        raise ValueError("The URL must have no query and no fragment.")
    if not _has_port_in_range(url):
        raise ValueError("The URL's port cannot be called.")
    return text.rstrip("/")


def _has_port_in_range(url: SplitResult) -> bool:
    try:
        return url.port != 0
    except ValueError:
        return False


SourceName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
SourceUrl = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(read_url)]


class Dialect(StrEnum):
    """Which of LangFlow's APIs a source speaks."""

    langflow_v2 = "langflow_v2"
    langflow_v1 = "langflow_v1"
    lfx = "lfx"
    """The light server, `lfx serve`: v2 sync runs only."""


class SourceStatus(StrEnum):
    active = "active"
    inactive = "inactive"
    """Switched off by its owner: its workflows do not run."""


class SourceCheck(BaseModel):
    """What the last look at a source found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reachable: bool
    dialect: Dialect | None = None
    version: str | None = None
    key_valid: bool | None = Field(None, description="null when the source could not be asked.")
    supports_background: bool = False
    message: str | None = None


class Source(Record):
    """A LangFlow instance. The key is kept encrypted and leaves Spark only towards that instance."""

    id: str
    name: str
    url: str
    status: SourceStatus = SourceStatus.active
    encrypted_key: str | None = None
    max_concurrency: int | None = None
    check: SourceCheck | None = None
    checked_at: Instant | None = None
    created_at: Instant
    updated_at: Instant

    @property
    def dialect(self) -> Dialect | None:
        return self.check.dialect if self.check else None
