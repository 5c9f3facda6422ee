"""The image, once for all tests that need it, and nodes to run it on."""

import fcntl
import os

import pytest
from cluster import Cluster
from image import PROJECT, Image, NoBase, missing
from manifests import render


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="build the image's programs in the image too; ask a real API server")


@pytest.fixture(scope="session")
def image(request):
    """Built from what is in build/release; kept for the next run, base and all."""
    if why := missing():
        pytest.skip(why)
    made = Image(PROJECT / "build" / "kubernetes")
    run, built = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())), made.folder / "built-by"
    with open(made.folder / "lock", "w") as lock:  # of the workers of a run the first one builds
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists() or built.read_text() != run:
            try:
                made.make_base()
            except NoBase as why:
                pytest.skip(str(why))
            made.build(full=request.config.getoption("--full"))
            built.write_text(run)
    return made


@pytest.fixture(scope="module")
def make_cluster(image, tmp_path_factory):
    made = []

    def make(overlay, things=None):
        made.append(Cluster(things or render(overlay), image, tmp_path_factory.mktemp(overlay)))
        return made[-1]

    return make
