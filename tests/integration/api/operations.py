"""All operations of the API, from its own document: which permissions they declare, and requests to them."""

from dataclasses import dataclass
from typing import Any

import httpx

from functions.api import BASE
from functions.api.app import create_app
from shared.settings import Settings

Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    """Below the base, with `{names}` of its ids."""
    takes_body: bool
    schemes: tuple[str, ...]
    """How its caller may say who they are."""
    permissions: tuple[str, ...]

    @property
    def parameters(self) -> list[str]:
        return [part.strip("{}") for part in self.path.split("/") if part.startswith("{")]

    def request(self, api: httpx.Client, ids: dict[str, str], body: Json | None = None) -> httpx.Response:
        """A request with `ids` in its path; an id that is not among them names nothing."""
        path = self.path
        for name in self.parameters:
            path = path.replace(f"{{{name}}}", ids.get(name, "1" if name == "number" else "nobody"))
        return api.request(self.method, path, json=body or {}) if self.takes_body else api.request(self.method, path)


def operations() -> list[Operation]:
    paths: dict[str, dict[str, Json]] = create_app(Settings()).openapi()["paths"]
    return [_operation(path, method, each) for path, methods in paths.items() for method, each in methods.items()]


def _operation(path: str, method: str, each: Json) -> Operation:
    schemes: dict[str, list[str]] = {name: scopes for way in each.get("security", []) for name, scopes in way.items()}
    permissions = next(iter(schemes.values()), [])
    assert all(scopes == permissions for scopes in schemes.values()), f"{each['operationId']} depends on who asks"
    return Operation(
        id=each["operationId"],
        method=method.upper(),
        path=path.removeprefix(BASE),
        takes_body="requestBody" in each,
        schemes=tuple(schemes),
        permissions=tuple(permissions),
    )
