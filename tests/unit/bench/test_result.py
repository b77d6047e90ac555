import json

import pytest

from bench.result import Result, read_result, read_target


@pytest.mark.parametrize(
    ("text", "figure", "met"),
    [
        ("<=9", 9, True),
        ("<=9", 9.01, False),
        ("<=1.25", 1.2, True),
        (">=130", 130, True),
        (">=130", 129.9, False),
        ("==0", 0, True),
        ("==0", 1, False),
    ],
)
def test_a_target_says_whether_a_figure_meets_it(text: str, figure: float, met: bool) -> None:
    assert read_target(text).is_met(figure) is met


@pytest.mark.parametrize("text", ["", "9", "<9", "=>9", "<= nine", "<=9 ms", "!=0"])
def test_anything_else_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match="not a target"):
        read_target(text)


def test_a_result_is_one_line_of_json_with_name_figures_and_targets() -> None:
    result = Result("speed", {"runs": 500, "rate": 131.23456}, {"rate": ">=130"})
    line = result.to_json()
    assert "\n" not in line
    assert json.loads(line) == {
        "name": "speed",
        "figures": {"runs": 500, "rate": 131.2346},
        "targets": {"rate": ">=130"},
    }


def test_a_result_is_read_back_as_it_was() -> None:
    result = Result("speed", {"rate": 131.5}, {"rate": ">=130"})
    assert read_result(result.to_json()) == result


def test_a_missed_target_is_named() -> None:
    result = Result("speed", {"rate": 99, "memory": 10, "loose": 1}, {"rate": ">=130", "memory": "<=10"})
    assert result.missed == ["rate"]
    assert [result.verdict(key) for key in result.figures] == [False, True, None]


def test_a_target_without_a_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        Result("speed", {}, {"rate": ">=130"})
