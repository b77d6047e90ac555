"""The HTTP client of the API: retries what is safe to retry, and turns every failure into a CliError that helps."""

import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from cli.config import API_PATH, Profile, keep_tokens, load, locked
from cli.errors import CliError, FieldError, usage

Json = dict[str, Any]

PAGE = 100  # the API's largest page
WAITS_SECONDS = (0.5, 1.0, 2.0)  # between attempts, unless the answer says otherwise
LONGEST_WAIT_SECONDS = 30.0
# An answer may be held for 25 s (`?wait=`), and the gateway gives up after 30.
TIMEOUT = httpx.Timeout(40.0, connect=5.0)
KEY_TEXT = re.compile(r"[\x21-\x7e]+")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
BUSY = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}


class Api:
    """One deployment of Spark. Answers are the API's JSON, as it is."""

    def __init__(
        self,
        profile: Profile,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> None:
        self.profile = profile
        self._sleep = sleep
        self._transport = transport
        self._http = httpx.Client(
            base_url=profile.url + API_PATH,
            headers={"User-Agent": "spark-cli", **key_header(profile), **project_header(profile)},
            timeout=timeout,
            transport=transport,
            trust_env=urlsplit(profile.url).hostname not in LOOPBACK,  # a proxy cannot reach our loopback
        )

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Json | None = None, **params: Any) -> Any:
        """With an Idempotency-Key, so that sending it again after a lost answer makes nothing twice."""
        return self._call("POST", path, params=params, body=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    def reveal(self, path: str, body: Json, *, renew: bool = True) -> Any:
        """A request whose answer shows a secret once: it cannot be answered again, so it is sent only once.

        Without `renew` also where it is answered that we are not known: what it carries may be what is meant.
        """
        response = self._send_once(self._http.build_request("POST", path, json=body), renew=renew)
        if response.is_success:
            return _document(response)
        raise refusal(response, self.profile)

    def patch(self, path: str, body: Json, **params: Any) -> Any:
        return self._call("PATCH", path, params=params, body=body)

    def delete(self, path: str, **params: Any) -> Any:
        return self._call("DELETE", path, params=params)

    def items(self, path: str, limit: int, *, method: str = "GET", **params: Any) -> Iterator[Json]:
        """The first `limit` items of a list, page after page. A page may be empty and still not the last."""
        cursor: str | None = None
        while limit > 0:
            page = self._call(method, path, params={"limit": min(limit, PAGE), "cursor": cursor, **params})
            yield from page["items"][:limit]
            limit -= len(page["items"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def lines(self, path: str, **params: Any) -> Iterator[str]:
        """The lines of an NDJSON answer and of those that its Link header leads on to."""
        query = given(**params)
        while True:
            response = self._ask("GET", path, params=query)
            yield from filter(None, response.text.split("\n"))
            following = response.links.get("next")
            if following is None:
                return
            query = dict(parse_qsl(urlsplit(following["url"]).query))

    def fetch(self, url: str) -> Any:
        """What an answer of the API links to: a signed address, so our key does not go there."""
        with httpx.Client(timeout=TIMEOUT, transport=self._transport, trust_env=self._http.trust_env) as http:
            try:
                response = http.get(url)
            except httpx.TransportError as error:
                raise no_answer(error, self.profile) from error
        if not response.is_success:
            raise CliError(f"The link to the output answered {response.status_code}.", hint="Ask for the run again.")
        return _document(response)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Json | None = None,
        body: Json | None = None,
        headers: Json | None = None,
    ) -> Any:
        return _document(self._ask(method, path, params=params, body=body, headers=headers))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Json | None = None,
        body: Json | None = None,
        headers: Json | None = None,
    ) -> httpx.Response:
        request = self._http.build_request(method, path, params=given(**(params or {})), json=body, headers=headers)
        response = self._send(request)
        if response.is_success:
            return response
        raise refusal(response, self.profile)

    def _send(self, request: httpx.Request) -> httpx.Response:
        """The answer, after up to three more attempts while the API is busy or the connection breaks.

        All requests may be repeated: reads change nothing, POSTs carry a key, PATCH and DELETE say the same twice.
        """
        for wait in WAITS_SECONDS:
            try:
                response = self._deliver(request)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                self._sleep(wait)
                continue
            except httpx.TransportError as error:
                raise no_answer(error, self.profile) from error
            if not is_busy(response):
                return response
            self._sleep(retry_after(response, wait))
        return self._send_once(request)

    def _send_once(self, request: httpx.Request, *, renew: bool = True) -> httpx.Response:
        try:
            return self._deliver(request) if renew else self._http.send(request)
        except httpx.TransportError as error:
            raise no_answer(error, self.profile) from error

    def _deliver(self, request: httpx.Request) -> httpx.Response:
        """The answer; where our access token is over, that to the same request with the next one."""
        response = self._http.send(request)
        if response.status_code != httpx.codes.UNAUTHORIZED or not self._renew():
            return response
        request.headers.update(key_header(self.profile))
        return self._http.send(request)

    def _renew(self) -> bool:
        """Get the next tokens, or those that another command got meanwhile. False if that is impossible."""
        if not self.profile.refresh_token:
            return False
        for wait in WAITS_SECONDS:
            is_renewed = self._renew_alone()
            if is_renewed is not None:
                return is_renewed
            self._sleep(wait)  # the other command has its tokens, but has not written them down yet
        return False

    def _renew_alone(self) -> bool | None:
        """Each refresh token works once, so only one command at a time spends it, and those that waited take what it
        got. None where one without our lock was quicker: on another machine, or where there are no locks.
        """
        with locked():
            if (renewed := self._renewed_by_others()) is not None:
                return self._go_on_as(renewed)
            body = {"refresh_token": self.profile.refresh_token}
            answer = self._http.send(self._http.build_request("POST", "/auth/refresh", json=body))
            if answer.is_success:
                tokens = answer.json()
                return self._go_on_as(keep_tokens(self.profile.name, tokens["access_token"], tokens["refresh_token"]))
        return None if answer.status_code == httpx.codes.CONFLICT else False

    def _renewed_by_others(self) -> Profile | None:
        stored = load().profiles.get(self.profile.name)
        is_other = stored is not None and stored.refresh_token not in ("", self.profile.refresh_token)
        return stored if is_other else None

    def _go_on_as(self, profile: Profile) -> bool:
        self.profile = replace(self.profile, access_token=profile.access_token, refresh_token=profile.refresh_token)
        self._http.headers.update(key_header(self.profile))
        return True


def key_header(profile: Profile) -> dict[str, str]:
    """Raises CliError for a key that no header can carry: the HTTP library would complain by quoting it."""
    if profile.access_token:
        return {"Authorization": f"Bearer {profile.access_token}"}
    if not profile.api_key:
        return {}
    if not KEY_TEXT.fullmatch(profile.api_key):
        raise usage(f"The key of profile {profile.name!r} is none: it has blanks or characters that are not ASCII.")
    return {"X-API-Key": profile.api_key}


def project_header(profile: Profile) -> dict[str, str]:
    """Which project is meant, if not the key's own."""
    return {"X-Project-Id": profile.project} if profile.project else {}


def given(**fields: Any) -> Json:
    """The fields that have a value: what the user said."""
    return {name: value for name, value in fields.items() if value is not None}


def is_busy(response: httpx.Response) -> bool:
    """Will the same request, a little later, be answered?

    Yes also while its first sending is still being worked on; no when Spark is well and a LangFlow is not there.
    """
    code = str(problem_of(response).get("code"))
    if response.status_code == httpx.codes.CONFLICT:
        return code == "in_flight"
    return response.status_code in BUSY and not code.startswith("upstream")


def retry_after(response: httpx.Response, otherwise: float) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), LONGEST_WAIT_SECONDS) if text.isdigit() else otherwise


def problem_of(response: httpx.Response) -> Json:
    """The body as a problem document (RFC 9457); empty when it is something else."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) and "title" in body else {}


def refusal(response: httpx.Response, profile: Profile) -> CliError:
    """What the API said no with, in words."""
    problem = problem_of(response)
    if not problem:
        return _stranger(response, profile)
    errors = problem.get("errors") or []
    fields = [FieldError(error["pointer"], error["detail"]) for error in errors if error.get("pointer")]
    message = problem["title"] if fields else problem.get("detail") or problem["title"]
    return CliError(f"{message.rstrip('.')}.", hint=_hint(response, problem, profile), fields=fields, problem=problem)


def no_answer(error: httpx.TransportError, profile: Profile) -> CliError:
    """Nobody there, or not in time."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        local = urlsplit(profile.url).hostname in LOOPBACK
        hint = "Is the stack up? Run `spark local up`." if local else "Is the address right? See `spark config get`."
        return CliError(f"Nobody answers at {profile.url}.", hint=hint)
    if isinstance(error, httpx.TimeoutException):
        hint = "It may have been accepted all the same: look before you try again."
        return CliError(f"{profile.url} did not answer in time.", hint=hint)
    return CliError(f"The connection to {profile.url} broke: {error}", hint="Try again.")


def _stranger(response: httpx.Response, profile: Profile) -> CliError:
    """An answer that is no problem document: from a gateway in trouble, or from something that is not Spark."""
    answered = f"{profile.url} answered {response.status_code} {response.reason_phrase}"
    if response.is_server_error:
        return CliError(f"{answered}.", hint="Try again in a moment.")
    hint = f"Is the address of profile {profile.name!r} right? See `spark config get`."
    return CliError(f"{answered}, but not as Spark's API does.", hint=hint)


def _hint(response: httpx.Response, problem: Json, profile: Profile) -> str:
    if response.status_code == httpx.codes.UNAUTHORIZED and response.headers.get("WWW-Authenticate") == "Bearer":
        return "Log in: `spark login`. If you forgot the password: `spark account forgot`."
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return f"Give profile {profile.name!r} a key that works: `spark config set {profile.name} --api-key -`."
    if profile.project and problem.get("detail") == f"No project {profile.project!r} in this organization.":
        return "Choose another: `spark project list`, then `spark project use PROJECT`, or --project for once."
    if problem.get("users"):
        return f"In the way: {', '.join(problem['users'])}"
    if problem.get("workflow_id"):
        return f"Refresh it: `spark workflow sync {problem['workflow_id']}`."
    if is_busy(response):
        return f"Try again in {retry_after(response, 5):.0f} s."
    if response.is_server_error:
        correlation = response.headers.get("X-Correlation-Id") or problem.get("correlation_id")
        return f"The logs know more under correlation id {correlation}." if correlation else ""
    return ""


def _document(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise CliError(f"{response.url} answered {response.status_code} with something else than JSON.") from error
