"""The HTTP API: FastAPI behind API Gateway. `app.py` is its table of contents."""

BASE = "/api/v1"
