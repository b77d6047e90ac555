import pytest

from bench.limits import Bucket, Environments, Pollers, Ramp, cpu_share


def granted(bucket: Bucket, seconds: int, asked: int) -> int:
    """How much a caller gets who asks for `asked` single tokens each second, from 0 to `seconds`, both included."""
    return sum(bucket.take(float(now), 1) for now in range(seconds + 1) for _ in range(asked))


def test_a_bucket_gives_its_size_at_once_and_its_rate_from_then_on() -> None:
    assert granted(Bucket(rate=100, size=1_000), seconds=10, asked=5_000) == 1_000 + 10 * 100


def test_a_bucket_never_holds_more_than_its_size() -> None:
    bucket = Bucket(rate=100, size=50)
    assert bucket.take(1_000.0, 50)
    assert not bucket.take(1_000.0, 1)


def test_a_bucket_gives_all_that_is_asked_for_or_nothing() -> None:
    bucket = Bucket(rate=10, size=10)
    assert not bucket.take(0.0, 11)
    assert bucket.take(0.0, 10)
    assert not bucket.take(0.4, 5)
    assert bucket.take(0.5, 5)


@pytest.mark.parametrize(("seconds", "allowed"), [(0, 5), (0.19, 5), (0.2, 6), (60, 305), (249, 1_250), (9_999, 1_250)])
def test_pollers_grow_evenly_to_their_end_while_messages_wait(seconds: float, allowed: int) -> None:
    pollers = Pollers(Ramp(5, 300, 1_250))
    pollers.observe(0.0, busy=5, is_waiting=True)
    assert pollers.allowed(seconds) == allowed


def test_pollers_grow_as_much_however_often_they_are_looked_at() -> None:
    pollers = Pollers(Ramp(5, 300, 1_250))
    for tenth in range(600):
        pollers.observe(tenth / 10, busy=1, is_waiting=True)
    assert pollers.allowed(60.0) == 305


@pytest.mark.parametrize(("busy", "left"), [(0, 5), (4, 5), (100, 100), (9_999, 305)])
def test_when_nothing_waits_only_busy_pollers_stay(busy: int, left: int) -> None:
    pollers = Pollers(Ramp(5, 300, 1_250))
    pollers.observe(0.0, busy=5, is_waiting=True)
    pollers.observe(60.0, busy=busy, is_waiting=False)
    assert pollers.allowed(60.0) == left
    assert pollers.allowed(9_999.0) == left


def test_environments_are_kept_for_the_next_invocation() -> None:
    some = Environments()
    assert [some.begin(), some.begin()] == [True, True]
    some.end()
    assert some.has_idle
    assert [some.begin(), some.begin()] == [False, True]
    assert some.most == 3


@pytest.mark.parametrize(("memory", "share"), [(1_769, 1.0), (512, 0.2894), (10_240, 1.0)])
def test_a_function_has_its_share_of_a_cpu(memory: int, share: float) -> None:
    assert cpu_share(memory) == pytest.approx(share, abs=1e-4)
