"""docs/scaling.md, its plots and the README against what `python -m bench simulate` computes."""

import json
import re

import pytest

from bench import simulate
from cli.local.layout import PROJECT

DOCS = PROJECT / "docs"
AGAIN = "it computes something else now: python -m bench simulate --plots docs, then --markdown docs for the tables"
KEPT = json.loads(DOCS.joinpath(simulate.FIGURES).read_text(encoding="utf-8"))
TABLES = dict(zip(("carried", "together", "months", "burst"), simulate.tables(KEPT), strict=True))
README = PROJECT.joinpath("README.md").read_text(encoding="utf-8")


def test_the_figures_kept_are_those_that_come_out() -> None:
    """Of a small burst, through the same template, limits and code: the large one takes a minute."""
    again = simulate.figures_of(simulate.simulate(simulate.SMALL))
    assert again == pytest.approx(KEPT["small"], rel=1e-3, abs=1e-3), AGAIN


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_the_table(name: str) -> None:
    page = DOCS.joinpath("scaling.md").read_text(encoding="utf-8")
    assert TABLES[name] in page, f"{AGAIN}\n{TABLES[name]}"


@pytest.mark.parametrize("name", ["burst-backlog.svg", "burst-lateness.svg"])
def test_a_plot_is_of_these_scenarios(name: str) -> None:
    plot = DOCS.joinpath(name).read_text(encoding="utf-8")
    assert all(f">{label}<" in plot for label in simulate.NAMES.values()), AGAIN
    assert simulate.DURATION in plot


def test_the_readme_has_its_figures() -> None:
    drained = {name: f"{KEPT['figures'][f'{name}_drained_seconds']:,.0f}" for name in simulate.NAMES}
    assert f"| {drained['as_deployed']} · {drained['executors']} s |" in README, AGAIN
    assert f"| {drained['provisioned']} s |" in README, AGAIN


def test_the_price_is_that_of_the_page_and_of_the_readme() -> None:
    page = DOCS.joinpath("scaling.md").read_text(encoding="utf-8")
    assert all(f"{usd:.2f} USD" in page for usd in KEPT["usd_per_million_runs"].values()), AGAIN
    [price] = re.findall(r"list price of a million runs; of inputs[^|]*\| ([0-9.]+) ·", README)
    assert KEPT["usd_per_million_runs"]["full"] == pytest.approx(float(price), rel=0.02), AGAIN
