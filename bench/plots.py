"""Plots as SVG text: lines over a logarithmic x axis, each point with its figure; or over time, without."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 132, 56, 76  # of the area that lines are drawn in, to the edges
COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce", "#b91c1c", "#475569")
STYLE = "font-family: system-ui, sans-serif; font-size: 13px"
APART = 15  # that two labels need, in pixels


@dataclass(frozen=True)
class Line:
    label: str
    points: Sequence[tuple[float, float]]


def log_plot(title: str, x_label: str, y_label: str, lines: Sequence[Line], source: str) -> str:
    """Lines over powers of ten, from y = 0 on. `source` says where the figures are from."""
    xs = sorted({x for line in lines for x, _ in line.points})
    plot = _Plot(xs[0], xs[-1], _top(lines))
    return _drawn(plot, xs, title, x_label, y_label, lines, source)


def time_plot(title: str, x_label: str, y_label: str, lines: Sequence[Line], source: str) -> str:
    """Lines over time from 0 on, from y = 0 on, with as many points as it takes."""
    end = max(x for line in lines for x, _ in line.points)
    step = _round_up(end / 10)
    xs = [step * number for number in range(int(end / step) + 1)]
    return _drawn(_TimePlot(0, end, _top(lines)), xs, title, x_label, y_label, lines, source)


def _drawn(
    plot: "_Plot", xs: Sequence[float], title: str, x_label: str, y_label: str, lines: Sequence[Line], source: str
) -> str:
    ends = _spread([plot.y(line.points[-1][1]) for line in lines])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" style="{STYLE}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 28, title, extra='font-size="16" font-weight="600"'),
        *plot.grid(xs),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 34, x_label, extra='text-anchor="middle"'),
        _text(LEFT - 44, TOP - 12, y_label, fill="#475569"),
        _text(LEFT, HEIGHT - 10, source, fill="#64748b", extra='font-size="11"'),
    ]
    for number, (line, end) in enumerate(zip(lines, ends, strict=True)):
        parts += plot.line(line, COLOURS[number % len(COLOURS)], end)
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Plot:
    """Where in the picture a figure is."""

    low: float
    high: float
    top: float

    def x(self, value: float) -> float:
        width = WIDTH - LEFT - RIGHT
        span = math.log10(self.high / self.low) or 1
        return LEFT + width * math.log10(value / self.low) / span

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top

    def grid(self, xs: Sequence[float]) -> list[str]:
        right, steps = WIDTH - RIGHT, 5
        parts = []
        for step in range(steps + 1):
            value = self.top * step / steps
            y = self.y(value)
            parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#e2e8f0"/>')
            parts.append(_text(LEFT - 8, y + 4, f"{value:g}", fill="#475569", extra='text-anchor="end"'))
        for value in xs:
            x = self.x(value)
            parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#e2e8f0"/>')
            label = _text(x, HEIGHT - BOTTOM + 20, f"{value:,.0f}", fill="#475569", extra='text-anchor="middle"')
            parts.append(label)
        return parts

    def line(self, line: Line, colour: str, label_y: float) -> list[str]:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in line.points)
        label = _text(WIDTH - RIGHT + 16, label_y + 4, line.label, fill=colour, extra='font-weight="600"')
        polyline = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        return [polyline, *self.marks(line, colour), label]

    def marks(self, line: Line, colour: str) -> list[str]:
        """A dot on each point, and its figure."""
        places = [(self.x(x), self.y(y)) for x, y in line.points]
        dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        figures = [
            _text(x, y - 7, f"{value:g}", fill=colour, extra='font-size="11" text-anchor="middle"')
            for (x, y), (_, value) in zip(places, line.points, strict=True)
        ]
        return [*dots, *figures]


class _TimePlot(_Plot):
    """A linear x axis, and lines without their figures."""

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / self.high

    def marks(self, line: Line, colour: str) -> list[str]:  # noqa: ARG002 of a line of hundreds of points
        return []


def _top(lines: Sequence[Line]) -> float:
    return _round_up(max(y for line in lines for _, y in line.points))


def _spread(ys: Sequence[float]) -> list[float]:
    """`ys`, moved down so far that no two labels lie on each other."""
    moved = dict.fromkeys(range(len(ys)), 0.0)
    last = -math.inf
    for number in sorted(moved, key=ys.__getitem__):
        last = moved[number] = max(ys[number], last + APART)
    return list(moved.values())


def _round_up(value: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten, above `value`."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= value)


def _text(x: float, y: float, text: str, *, fill: str = "#0f172a", extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" {extra}>{escape(text)}</text>'
