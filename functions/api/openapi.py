"""The OpenAPI document. `python -m functions.api.openapi` writes it to standard output, as it stands in docs/."""

import json
import sys
from typing import Any

from fastapi import FastAPI

from functions.api import deprecated, table
from functions.api.errors import FieldProblem, Problem, responses
from shared.settings import Settings

Document = dict[str, Any]


def publish(app: FastAPI) -> None:
    """Have `app` answer with this document. It is made when it is first asked for."""
    generate = app.openapi

    def openapi() -> Document:
        if app.openapi_schema is None:
            table.add_all(app)
            app.openapi_schema = complete(generate())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def complete(document: Document) -> Document:
    """FastAPI's document with our problems in place of its own, and the old spellings."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (FieldProblem, Problem):
        schemas[model.__name__] = _schema(model)
    for operations in document["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:  # any body may be no JSON, or too large
                operation["responses"] |= {str(status): answer for status, answer in responses(400, 413).items()}
            _let_in_by_cookie(operation)
    document["components"]["securitySchemes"]["Cookie"] = _cookie()
    deprecated.document(document["paths"])
    return document


def _cookie() -> Document:
    from functions.api import cookies  # for pages, and for this document

    said = f"For pages that logged in with `cookies`. All but GET and HEAD need the header `{cookies.HEADER}`."
    return {"type": "apiKey", "in": "cookie", "name": cookies.SECURE.access, "description": said}


def _let_in_by_cookie(operation: Document) -> None:
    """Whoever may come with an access token may have it in a cookie. Said here, since a declared dependency would cost
    the cold start of every route."""
    ways = operation.get("security", [])
    ways += [{"Cookie": way["Bearer"]} for way in ways if "Bearer" in way]


def _schema(model: type[FieldProblem | Problem]) -> Document:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


def text(document: Document) -> str:
    """As it is committed: sorted and indented, so that a change is seen as what it is."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from functions.api.app import create_app

    sys.stdout.write(text(create_app(Settings()).openapi()))
