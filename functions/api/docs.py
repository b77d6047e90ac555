"""The documentation pages. Swagger UI and ReDoc come with the function, so they work without the internet."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException

from functions.api import BASE
from functions.api.headers import page_policy

router = APIRouter(prefix=BASE, include_in_schema=False)

# Links are relative, so that they hold behind any prefix.
OPENAPI = "openapi.json"
ASSETS = "assets"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}


@router.get("/docs")
def swagger_ui() -> HTMLResponse:
    from fastapi.openapi.docs import get_swagger_ui_html  # needed by few, and slow to import

    return _guarded(
        get_swagger_ui_html(
            openapi_url=OPENAPI,
            title="Spark",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
            swagger_ui_parameters={"persistAuthorization": True, "displayRequestDuration": True},
        )
    )


@router.get("/redoc")
def redoc() -> HTMLResponse:
    from fastapi.openapi.docs import get_redoc_html

    return _guarded(
        get_redoc_html(
            openapi_url=OPENAPI,
            title="Spark",
            redoc_js_url=f"{ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{ASSETS}/favicon.png",
            with_google_fonts=False,
        )
    )


@router.get("/assets/{name}")
def asset(name: str) -> FileResponse:
    """A file of Swagger UI or ReDoc. The list of what there is decides, not the path that is asked for."""
    path = assets().get(name)
    if path is None:
        raise HTTPException(404, f"No asset {name!r}.")
    headers = {"Cache-Control": "public, max-age=86400"}
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=headers)


def _guarded(page: HTMLResponse) -> HTMLResponse:
    """`page`, which may run what it came with and nothing else."""
    page.headers["Content-Security-Policy"] = page_policy(bytes(page.body).decode())
    page.headers["Cache-Control"] = "no-cache"
    return page


@cache
def assets() -> dict[str, Path]:
    """The files that the package `fastapi-offline` carries; it is found, but not imported."""
    spec = find_spec("fastapi_offline")
    assert spec is not None  # a locked requirement
    assert spec.submodule_search_locations is not None  # it is a package
    folder = Path(spec.submodule_search_locations[0]) / "static"
    return {path.name: path for path in folder.iterdir() if path.suffix in MEDIA_TYPES}
