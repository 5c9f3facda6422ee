"""Fixtures: one installation for most tests, and installations of one's own for those that break things."""

import itertools

import pytest
from flashsale_client import Installation

names = itertools.count(1)


@pytest.fixture(scope="session")
def sale(tmp_path_factory):
    """The installation that tests share: make goods and people of your own in it, and leave it healthy."""
    yield from run_installation(tmp_path_factory.mktemp("sale"))


@pytest.fixture
def own_sale(tmp_path):
    """A fresh installation for one test."""
    yield from run_installation(tmp_path / "home")


@pytest.fixture
def installations(tmp_path):
    """Makes installations that are not up yet, and ends them after the test."""
    made = []

    def make(*flags):
        made.append(Installation(tmp_path / f"home{len(made)}", flags))
        return made[-1]

    yield make
    for installation in made:
        installation.down()
    assert [installation.sanitizer_reports() for installation in made] == [[] for _ in made]


@pytest.fixture
def fresh():
    """fresh("SKU") gives a name that no other test uses."""
    return lambda prefix: f"{prefix}-{next(names):05}"


def run_installation(home, *flags):
    installation = Installation(home, flags)
    try:
        installation.up()
        yield installation
    finally:
        installation.down()
    assert installation.sanitizer_reports() == []
