"""The environment: every variable Spark reads, read once, when first asked for. Nothing else reads it."""

import os
from datetime import timedelta
from functools import cache

from pydantic import BaseModel, ConfigDict

PREFIX = "SPARK_"


class Settings(BaseModel):
    """`SPARK_<NAME>`; set by `template.yaml`.

    A plain model: pydantic-settings would add 30 ms to each cold start for what one line below does.
    """

    model_config = ConfigDict(frozen=True)

    stage: str = "local"
    log_level: str = "INFO"
    table: str = ""
    run_queue_url: str = ""
    payload_bucket: str = ""
    kms_key_id: str = ""
    bootstrap_secret_id: str = ""
    wake_after_seconds: int = 300
    cors_origins: str = ""
    tracing: bool = False

    @property
    def is_local(self) -> bool:
        return self.stage == "local"

    @property
    def wake_after(self) -> timedelta:
        """How long after its due time a run may stay untouched before the tick sends it again."""
        return timedelta(seconds=self.wake_after_seconds)

    @property
    def allowed_origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]


@cache
def settings() -> Settings:
    """The settings of this process."""
    names = {name: f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return Settings.model_validate({name: os.environ[key] for name, key in names.items() if key in os.environ})
