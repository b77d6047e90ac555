"""Where traces may be sent: what a deployment can name as its receiver."""

from urllib.parse import urlsplit

from shared.domain.outbound import AllowList
from shared.domain.source import read_url
from shared.errors import NotExported

NO_ADDRESS = (
    "OtlpEndpoint is no address of a receiver: http(s)://HOST[:PORT][/PATH], without credentials, query and fragment."
)
NOT_ENCRYPTED = (
    "OtlpEndpoint must begin with https://, since the key of the receiver and the contents of runs go there. "
    "http:// is for hosts that OutboundAllow names."
)


def read_endpoint(text: str, allowed: AllowList) -> str:
    """`text` as the base URL of a receiver, without the slash at its end.

    Raises:
        NotExported: it is none that traces may be sent to. Never quotes `text`, which may hold a password.
    """
    try:
        url = read_url(text)
    except ValueError:
        raise NotExported(NO_ADDRESS) from None
    parts = urlsplit(url)
    if parts.scheme != "https" and not allowed.lists(parts.hostname or ""):
        raise NotExported(NOT_ENCRYPTED)
    return url
