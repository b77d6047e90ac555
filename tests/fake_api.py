"""Spark's HTTP API in memory, at the wire: an `httpx.MockTransport` for the tests of the command line.

Runs do not run by themselves: each look at one moves it to the next state of its script.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx

Json = dict[str, Any]

NOW = "2030-01-01T12:00:00.000Z"
KEY = "spk_test_0123456789abcdef0123456789abcdef"
NEW_KEY = "spk_01ABC_" + "n" * 43
SECRET = "sk-langflow-secret"
URL = "http://spark.test"
BARE_SETTINGS: Json = {
    "input": "",
    "start_at": None,
    "end_at": None,
    "exclude": [],
    "jitter_seconds": 0,
    "max_runs": None,
    "session_id": None,
    "tweaks": None,
    "timeout_seconds": None,
    "retry": None,
    "overlap": "allow",
    "catch_up": "last",
    "max_lateness_seconds": None,
    "pause_after_failures": None,
}
BUILT_IN: list[Json] = [
    {"id": name, "name": name, "built_in": True, "allow": ["runs:read"], "deny": [], "created_by": None}
    for name in ("viewer", "operator", "editor", "admin", "owner")
]
DONE = {"status": "completed", "attempt": 1, "started_at": NOW, "finished_at": NOW, "output": "Hello back"}


def id_of(prefix: str, number: int) -> str:
    return f"{prefix}_01JGJ000000000000000{number:06}"


def problem(status: int, code: str, detail: str, **more: Any) -> httpx.Response:
    body = {
        "type": f"urn:{code}",
        "title": "The request breaks a rule",
        "status": status,
        "code": code,
        "detail": detail,
        **more,
    }
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"})


class FakeApi:
    """`requests` holds what was asked; `answers` are given before anything else, in order.

    A test may put another function in the place of `handle`, and call the old one from it.
    """

    handle: Callable[[httpx.Request], httpx.Response]

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []
        self.script: list[Json] = [DONE]
        self.logs: list[Json] = [{"attempt": 1, "lines": [{"at": NOW, "level": "INFO", "event": "run.completed"}]}]
        self.steps: list[Json] = []
        self.flows: list[Json] = []
        self.fires: list[str] = []  # of every schedule, in order
        self.plan: Json = {"total": 0, "items": []}  # of every backfill
        self.synced: Json = {"status": "synced", "version": 2}
        nouns = ("sources", "workflows", "schedules", "backfills", "runs", "dead-letters")
        nouns += ("projects", "api-keys", "service-accounts", "roles")
        self.kept: dict[str, list[Json]] = {noun: [] for noun in nouns}
        self._left: dict[str, list[Json]] = {}
        self.handle = self.answer
        self.transport = httpx.MockTransport(lambda request: self.handle(request))

    # ---------------------------------------------------------------- what there is

    def add_source(self, name: str = "lab", **fields: Any) -> Json:
        source = {"url": "http://langflow.test", "status": "active", "check": None, "checked_at": None}
        return self._keep("sources", "src", {"name": name, **source, **fields})

    def add_workflow(self, name: str = "Echo", **fields: Any) -> Json:
        settings = {
            "name": name,
            "timeout_seconds": 120,
            "retry": {"max_attempts": 3, "flow_failed": False},
            "tags": [],
            "description": "",
        }
        workflow = {"source_id": id_of("src", 1), "flow_id": "flow-1", "version": 1, "facts": {}, "settings": settings}
        return self._keep("workflows", "wf", {**workflow, "updated_at": NOW, "synced_at": None, **fields})

    def add_schedule(self, name: str = "Daily", **fields: Any) -> Json:
        settings = {"name": name, "kind": "cron", "expression": "0 9 * * *", "timezone": "UTC", **BARE_SETTINGS}
        settings |= fields.pop("settings", {})
        schedule = {
            "workflow_id": id_of("wf", 1),
            "enabled": True,
            "state": "active",
            "next_fire_at": "2030-01-02T09:00:00.000Z",
            "description": f"{settings['expression']} in words ({settings['timezone']})",
            "fired": 0,
            "skipped_missed": 0,
            "skipped_overlap": 0,
            "failed_in_a_row": 0,
            "last_fire": None,
            "pause_reason": None,
            "updated_at": NOW,
        }
        return self._keep("schedules", "sch", {**schedule, "settings": settings, **fields})

    def add_backfill(self, **fields: Any) -> Json:
        backfill = {"schedule_id": id_of("sch", 1), "start_at": NOW, "end_at": NOW, "status": "completed"}
        counts = {"total": self.plan["total"], "started": self.plan["total"], "left_out": 0}
        return self._keep("backfills", "bkf", {**backfill, **counts, **fields})

    def add_run(self, **fields: Any) -> Json:
        run = {"workflow_id": id_of("wf", 1), "status": "pending", "attempt": 0, "input": "Hello", "error": None}
        kept = self._keep("runs", "run", {**run, "correlation_id": "c-1", "backfill_id": None, **fields})
        self._left[kept["id"]] = list(self.script)
        return kept

    def add_dead_letter(self, **fields: Any) -> Json:
        letter = {"reason": "unreadable", "message": "not JSON", "body": "{", "run_id": None}
        return self._keep("dead-letters", "dl", {**letter, **fields})

    def add_project(self, name: str = "Lab", **fields: Any) -> Json:
        return self._keep(
            "projects", "prj", {"name": name, "organization_id": "default", "retention_days": 90, **fields}
        )

    def add_key(self, name: str = "ci", **fields: Any) -> Json:
        key = {"role": "viewer", "project_id": "default", "organization_wide": False, "prefix": "spk_01ABC_"}
        unused = dict.fromkeys(("valid_until", "previous_until", "last_used_at", "per_minute", "daily_quota"))
        said = {"active": True, "service_account_id": None, **unused, **fields}
        return self._keep("api-keys", "key", {"name": name, "created_by": "bootstrap", **key, **said})

    def add_service_account(self, name: str = "deployer", **fields: Any) -> Json:
        account = {"role": "viewer", "project_id": "default", "organization_wide": False, "disabled_at": None}
        return self._keep("service-accounts", "svc", {"name": name, "created_by": "bootstrap", **account, **fields})

    def add_role(self, name: str = "on call", **fields: Any) -> Json:
        role = {"built_in": False, "allow": ["runs:read"], "deny": [], "created_by": "bootstrap"}
        return self._keep("roles", "rol", {"name": name, **role, **fields})

    def _keep(self, collection: str, prefix: str, fields: Json) -> Json:
        item = {"id": id_of(prefix, len(self.kept[collection]) + 1), "created_at": NOW, **fields}
        self.kept[collection].insert(0, item)
        return item

    # ---------------------------------------------------------------- how it answers

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.headers.get("X-API-Key") != KEY:
            return problem(401, "unauthenticated", "This key is not known.")
        path = request.url.path.removeprefix("/api/v1/").split("/")
        body = json.loads(request.content) if request.content else {}
        return self._route(request, path, body)

    def _route(self, request: httpx.Request, path: list[str], body: Json) -> httpx.Response:
        """The special cases first; the rest is reading, changing and deleting an item or listing."""
        special = {"GET": self._read, "POST": self._post}.get(request.method)
        answer = special(request, path, body) if special else None
        if answer is not None:
            return answer
        if len(path) == 1:
            return page(request, self._filtered(request, path[0]))
        return self._item(request, path[0], path[1], body)

    def _read(self, request: httpx.Request, path: list[str], body: Json) -> httpx.Response | None:
        match path:
            case ["runs", id]:
                return self._look(id)
            case ["roles"]:
                return page(request, BUILT_IN + self.kept["roles"])
            case ["sources", _, "flows"]:
                return page(request, self.flows)
            case ["runs", _, "logs" | "steps" as what]:
                return httpx.Response(200, json={"items": self.logs if what == "logs" else self.steps})
            case ["schedules", id, "preview"]:
                settings, query = self._find("schedules", id)["settings"], request.url.params
                return self._preview(settings, int(query["count"]), query.get("after", NOW))
            case ["schedules", id, "runs" | "backfills" as what]:
                return page(request, [item for item in self.kept[what] if item.get("schedule_id") == id])
            case ["schedules", _, "backfills", id]:
                return self._item(request, "backfills", id, {})
        return None

    def _post(self, request: httpx.Request, path: list[str], body: Json) -> httpx.Response | None:
        match path:
            case ["sources"]:
                check = {"reachable": True, "dialect": "lfx", "version": "1.13.0", "key_valid": True}
                kept = {name: value for name, value in body.items() if name != "api_key"}
                return httpx.Response(201, json=self.add_source(check=check, **kept))
            case ["sources", id, "check"]:
                return self._check(self._find("sources", id))
            case ["sources", _, "sync"]:
                return page(request, [{"workflow_id": w["id"], **self.synced} for w in self.kept["workflows"]])
            case ["workflows"]:
                return httpx.Response(201, json=self.add_workflow(body["settings"]["name"], flow_id=body["flow_id"]))
            case ["workflows", "import"]:
                return httpx.Response(201, json=self.add_workflow(body.get("name", "Echo"), flow_id=body["flow_id"]))
            case ["schedules", *_]:
                return self._schedule(path, body)
            case ["projects" | "roles" | "api-keys" | "service-accounts", *_]:
                return self._access(request, path, body)
        return self._run(path, body)

    def _access(self, request: httpx.Request, path: list[str], body: Json) -> httpx.Response:
        """What shows a secret takes no Idempotency-Key; whatever else is made has one."""
        if (path[0] == "api-keys") is ("Idempotency-Key" in request.headers):
            return problem(422, "invalid", "It is the other way round.")
        match path:
            case ["projects"]:
                return httpx.Response(201, json=self.add_project(**body))
            case ["roles"]:
                return httpx.Response(201, json=self.add_role(**body))
            case ["service-accounts", id, verb]:
                account = self._find("service-accounts", id)
                account["disabled_at"] = NOW if verb == "disable" else None
                return httpx.Response(200, json=account)
            case ["service-accounts"]:
                return httpx.Response(201, json=self.add_service_account(**body))
            case ["api-keys"]:
                return httpx.Response(201, json={**self.add_key(**body), "key": NEW_KEY})
        return httpx.Response(200, json={**self._find("api-keys", path[1]), "key": NEW_KEY})

    def _schedule(self, path: list[str], body: Json) -> httpx.Response | None:
        match path[1:]:
            case []:
                settings, state = body["settings"], "active" if body.get("enabled", True) else "paused"
                made = self.add_schedule(workflow_id=body["workflow_id"], settings=settings, state=state)
                return httpx.Response(201, json=made)
            case ["preview"]:
                return self._preview({"timezone": "UTC", **body}, body["count"], body.get("after", NOW))
            case ["pause" | "resume"]:
                swept = {"matched": 3, "changed": 2, "next_cursor": None if "cursor" in body else "more"}
                return httpx.Response(200, json=swept)
            case [id, "pause" | "resume" as verb]:
                return self._switch(self._find("schedules", id), verb, body)
            case [id, "trigger"]:
                schedule = self._find("schedules", id)
                input = body.get("input", schedule["settings"]["input"])
                return httpx.Response(202, json=self.add_run(input=input, schedule_id=id, origin="manual"))
            case [id, "backfills"]:
                dry = body.get("dry_run", False)
                return httpx.Response(202, json=self.plan if dry else self.add_backfill(schedule_id=id, **body))
            case [_, "backfills", id, "cancel"]:
                return self._cancel(self._find("backfills", id))
        return None

    def _switch(self, schedule: Json, verb: str, body: Json) -> httpx.Response:
        next = None if verb == "pause" else "2030-01-02T09:00:00.000Z"
        state = "paused" if verb == "pause" else "active"
        schedule.update(state=state, next_fire_at=next, pause_reason=body.get("reason"))
        return httpx.Response(200, json=schedule)

    def _preview(self, settings: Json, count: int, after: str) -> httpx.Response:
        zone = ZoneInfo(settings["timezone"])
        items = [fire(at, zone) for at in self.fires if at > after][:count]
        said = f"{settings['expression']} in words ({zone.key})"
        answer = {"description": said, "timezone": zone.key, "note": None, "items": items}
        return httpx.Response(200, json=answer)

    def _run(self, path: list[str], body: Json) -> httpx.Response | None:
        match path:
            case ["runs", "batch"]:
                return self._batch(body)
            case ["runs", "cancel" | "retry"]:
                swept = {"matched": 3, "changed": 2, "next_cursor": None if "cursor" in body else "more"}
                return httpx.Response(200, json=swept)
            case ["runs", id, "cancel"]:
                return self._cancel(self._find("runs", id))
            case ["workflows" | "runs" | "dead-letters", id, "runs" | "retry" | "redrive"]:
                return httpx.Response(202, json=self.add_run(input=body.get("input"), retry_of=id))
        return None

    def _check(self, source: Json) -> httpx.Response:
        check = {"reachable": True, "dialect": "lfx", "version": "1.13.0", "key_valid": True}
        source.update(check=check, checked_at=NOW)
        return httpx.Response(200, json=source)

    def _batch(self, body: Json) -> httpx.Response:
        """One input is refused, the others run."""
        refusal = {"error": {"code": "invalid", "detail": "An input too many."}}
        items = [refusal if run["input"] == "refuse me" else {"run": self.add_run(**run)} for run in body["runs"]]
        return httpx.Response(202, json={"items": items})

    def _cancel(self, item: Json) -> httpx.Response:
        item.update(status="cancelled", finished_at=NOW)
        return httpx.Response(200, json=item)

    def _item(self, request: httpx.Request, collection: str, id: str, body: Json) -> httpx.Response:
        found = next((item for item in self.kept[collection] if item["id"] == id), None)
        if found is None:
            return problem(404, "not_found", f"No {collection} {id!r} in this project.")
        if request.method == "DELETE":
            self.kept[collection].remove(found)
            return httpx.Response(204)
        settings = {"settings": {**found.get("settings", {}), **body["settings"]}} if "settings" in body else {}
        found.update({key: value for key, value in {**body, **settings}.items() if key != "api_key"})
        return httpx.Response(200, json=found)

    def _look(self, id: str) -> httpx.Response:
        if all(run["id"] != id for run in self.kept["runs"]):
            return problem(404, "not_found", f"No run {id!r} in this project.")
        run = self._find("runs", id)
        if self._left[id]:
            run.update(self._left[id].pop(0))
        return httpx.Response(200, json=run)

    def _filtered(self, request: httpx.Request, collection: str) -> list[Json]:
        wanted = ("status", "state", "workflow_id", "schedule_id", "created_by")
        filters = {name: request.url.params[name] for name in wanted if name in request.url.params}
        return [item for item in self.kept[collection] if all(item.get(key) == value for key, value in filters.items())]

    def _find(self, collection: str, id: str) -> Json:
        return next(item for item in self.kept[collection] if item["id"] == id)


def fire(at: str, zone: ZoneInfo, **more: Any) -> Json:
    """One fire of a preview."""
    local = datetime.fromisoformat(at).astimezone(zone)
    told = {"scheduled_for": at, "fires_at": at, "local": local.isoformat(), "zone": local.tzname(), "mark": None}
    return {**told, **more}


def page(request: httpx.Request, items: list[Json]) -> httpx.Response:
    start = int(request.url.params.get("cursor") or 0)
    end = start + int(request.url.params.get("limit") or 50)
    return httpx.Response(200, json={"items": items[start:end], "next_cursor": str(end) if end < len(items) else None})


def bodies(api: FakeApi, method: str, pattern: str) -> list[Json]:
    """What was sent by `method` to paths that match `pattern`."""
    return [json.loads(request.content) for request in asked(api, method, pattern)]


def asked(api: FakeApi, method: str, pattern: str) -> list[httpx.Request]:
    return [r for r in api.requests if r.method == method and re.search(pattern, r.url.path)]
