"""How often, and after how long, a failed attempt is tried again."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Delivered, FlowFailure

# Failures by the flow's own logic: trying again is the policy's choice, not ours.
OWN_LOGIC = frozenset({"flow_failed"})


class RetryPolicy(BaseModel):
    """When to try again. Waits grow as initial * multiplier**n up to the maximum, with full jitter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_attempts: int = Field(3, ge=1, le=20, strict=True, description="Attempts in all, the first included.")
    initial_seconds: float = Field(2, ge=0, le=3600, strict=True, description="Longest wait before the second attempt.")
    multiplier: float = Field(
        2, ge=1, le=10, strict=True, description="Each wait is up to this many times the one before."
    )
    max_seconds: float = Field(300, ge=0, le=86_400, strict=True, description="No wait is longer than this.")
    unknown_outcome: bool = Field(
        True,
        strict=True,
        description="Try again when nobody can tell whether LangFlow ran the flow. It may then run twice.",
    )
    flow_failed: bool = Field(False, strict=True, description="Try again when the flow itself failed.")


@dataclass(frozen=True)
class RetryAfter:
    wait: timedelta


@dataclass(frozen=True)
class GiveUp:
    pass


def decide(
    policy: RetryPolicy, attempt: int, failure: FlowFailure, chance: float, *, keyed: bool = False
) -> RetryAfter | GiveUp:
    """What follows attempt number `attempt` (from 1) that ended in `failure`; `chance` in [0, 1) is the jitter.

    Full jitter as in AWS Architecture Blog, "Exponential Backoff And Jitter". Retry-After is a lower bound.
    """
    if attempt >= policy.max_attempts or not is_retryable(policy, failure, keyed=keyed):
        return GiveUp()
    longest = min(policy.initial_seconds * policy.multiplier ** (attempt - 1), policy.max_seconds)
    wait = longest * chance
    if failure.retry_after_seconds is not None:
        wait = max(wait, min(failure.retry_after_seconds, policy.max_seconds))
    return RetryAfter(timedelta(seconds=wait))


def is_retryable(policy: RetryPolicy, failure: FlowFailure, *, keyed: bool = False) -> bool:
    """Not delivered: yes. Outcome unknown: as the policy says. Answered: only if the policy retries flow failures."""
    if failure.delivered is Delivered.no:
        return True
    if failure.delivered is Delivered.unknown:
        return policy.unknown_outcome or keyed
    return failure.code in OWN_LOGIC and policy.flow_failed
