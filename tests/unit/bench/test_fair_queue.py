from bench.fair_queue import FairQueue


def queue(**messages: int) -> FairQueue[str]:
    """So many messages of each tenant, whose name is its first letter, sent one tenant after the other."""
    made = FairQueue[str]()
    made.send((ord(name[0]), name) for name, count in messages.items() for _ in range(count))
    return made


def test_without_a_backlog_the_oldest_message_comes_first() -> None:
    assert queue(a=2, b=1).receive(10) == ["a", "a", "b"]


def test_who_has_thirty_in_flight_and_a_tenth_of_all_lets_others_go_first() -> None:
    busy = queue(a=100)
    assert busy.receive(30) == ["a"] * 30
    busy.send([(ord("b"), "b")] * 2)
    assert busy.receive(4) == ["b", "b", "a", "a"]


def test_who_is_below_that_does_not() -> None:
    calm = queue(a=100)
    calm.receive(29)
    calm.send([(ord("b"), "b")])
    assert calm.receive(2) == ["a", "b"]  # the thirtieth of a makes it noisy


def test_of_two_noisy_ones_the_one_with_less_in_flight_comes_first() -> None:
    both = queue(a=100, b=100)
    both.receive(80)
    assert sorted(both.receive(20)) == ["a"] * 10 + ["b"] * 10


def test_a_share_of_a_tenth_takes_more_than_thirty_where_many_are_in_flight() -> None:
    many = FairQueue[str]()
    many.send((tenant, "quiet") for tenant in range(100) for _ in range(10))
    assert many.receive(1_000) == ["quiet"] * 1_000
    many.send([(200, "a")] * 60)
    assert many.receive(50) == ["a"] * 50
    many.send([(201, "b")])
    assert many.receive(2) == ["a", "a"]


def test_a_backlog_that_is_gone_is_forgotten() -> None:
    done = queue(a=40)
    done.receive(40)
    for _ in range(40):
        done.delete(ord("a"))
    done.send([(ord("a"), "a"), (ord("b"), "b")])
    assert done.receive(2) == ["a", "b"]


def test_no_more_is_received_than_is_there() -> None:
    few = queue(a=3)
    assert (len(few), few.receive(10), len(few), few.receive(10)) == (3, ["a"] * 3, 0, [])
