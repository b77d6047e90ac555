from xml.etree import ElementTree

import pytest

from bench import plots
from bench.plots import Line, log_plot, time_plot

SVG = "{http://www.w3.org/2000/svg}"
FLAT = Line("items <read>", [(1_000, 36), (10_000, 36), (100_000, 36)])
LOW = Line("requests", [(1_000, 34), (10_000, 34), (100_000, 34)])


def drawn(*lines: Line) -> ElementTree.Element:
    return ElementTree.fromstring(log_plot("A tick", "schedules", "of one tick", lines, "made up"))


def test_each_point_is_drawn_with_its_figure() -> None:
    plot = drawn(FLAT, LOW)
    texts = [text.text for text in plot.iter(f"{SVG}text")]
    assert len(list(plot.iter(f"{SVG}circle"))) == 6
    assert (texts.count("36"), texts.count("34")) == (3, 3)
    assert {"1,000", "10,000", "100,000", "items <read>", "made up"} <= set(texts)


def test_powers_of_ten_are_as_far_from_each_other() -> None:
    first, second, third = (float(circle.attrib["cx"]) for circle in drawn(FLAT).iter(f"{SVG}circle"))
    assert second - first == pytest.approx(third - second, abs=0.2)


def test_what_does_not_grow_is_a_level_line() -> None:
    assert len({circle.attrib["cy"] for circle in drawn(FLAT).iter(f"{SVG}circle")}) == 1


def test_labels_do_not_lie_on_each_other() -> None:
    assert plots._spread([100.0, 102.0, 300.0]) == [100.0, 100.0 + plots.APART, 300.0]
    assert plots._spread([102.0, 100.0]) == [100.0 + plots.APART, 100.0]


@pytest.mark.parametrize(("value", "top"), [(36, 50), (80, 100), (10, 10), (1.2, 2), (210, 250)])
def test_the_axis_ends_at_a_round_figure(value: float, top: float) -> None:
    assert plots._round_up(value) == pytest.approx(top)


def test_a_plot_of_one_total_can_be_drawn() -> None:
    assert drawn(Line("requests", [(1_000, 34)])).tag == f"{SVG}svg"


def test_over_time_a_line_has_its_points_and_no_figures() -> None:
    line = Line("backlog", [(0, 100), (50, 50), (100, 0)])
    plot = ElementTree.fromstring(time_plot("A burst", "seconds", "runs", [line], "made up"))
    (drawn_line,) = plot.iter(f"{SVG}polyline")
    xs = [float(point.split(",")[0]) for point in drawn_line.attrib["points"].split()]
    texts = {text.text for text in plot.iter(f"{SVG}text")}
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert not list(plot.iter(f"{SVG}circle"))
    assert {"0", "20", "100", "backlog"} <= texts
