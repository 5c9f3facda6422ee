"""Fixtures and flags of the crash suite. What system tests talk with is used here too."""

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

names = itertools.count(1)


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=20, help="rounds of faults under load")
    parser.addoption("--seed", type=int, default=None, help="of the first round; each next one has the next number")


@pytest.fixture
def fresh():
    """fresh("SKU") gives a name that no other test uses."""
    return lambda prefix: f"{prefix}-{next(names):05}"


@pytest.fixture
def program(tmp_path):
    """program("inventory") makes one that is not started yet, in a home of its own; all end with the test."""
    from programs import Program
    made = []

    def make(name, *flags, **options):
        made.append(Program(name, tmp_path / f"{name}-{len(made)}", flags, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
