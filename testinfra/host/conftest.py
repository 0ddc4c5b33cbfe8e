"""The options of these tests, and one test for each thing that the documents declare."""

import declared
import pytest


def pytest_addoption(parser):
    """What is tested besides what the host must be anyway."""
    group = parser.getgroup("netkeel")
    group.addoption("--netkeel-document", action="append", default=[], metavar="FILE", help="what the host is to be; repeats")
    group.addoption("--netkeel-metrics", metavar="ADDRESS:PORT", help="where the host's service answers")
    group.addoption("--netkeel-no-service", action="store_true", help="the service is not to run on this host")


def pytest_configure(config):
    """Reads the documents once."""
    config.netkeel_document = declared.documents(config.getoption("--netkeel-document"))
    if not config.netkeel_document and not config.option.help:
        raise pytest.UsageError("--netkeel-document: what is the host to be?")


def pytest_generate_tests(metafunc):
    """Gives each test the entries that it is for: the argument is named after the kind."""
    document = metafunc.config.netkeel_document
    for kind in ("link", "tunnel", "nflog", "cni"):
        if kind in metafunc.fixturenames:
            found = declared.entries(document, kind)
            metafunc.parametrize(kind, found, ids=[name for name, _ in found])
    if "sysctl" in metafunc.fixturenames:
        found = declared.sysctls(document)
        metafunc.parametrize("sysctl", found, ids=[key.replace("/", ".") for key, _ in found])
    wants_service = not metafunc.config.getoption("--netkeel-no-service")
    if "unit" in metafunc.fixturenames:
        metafunc.parametrize("unit", ["netkeel", "netkeel-boot"] if wants_service else [])
    if "metrics_address" in metafunc.fixturenames:
        address = metafunc.config.getoption("--netkeel-metrics")
        metafunc.parametrize("metrics_address", [address] if address else [])


def pytest_collection_modifyitems(config, items):
    """A test for which nothing is declared is none: it is left out, not skipped."""
    empty = [item for item in items if item.get_closest_marker("skip")]
    config.hook.pytest_deselected(items=empty)
    items[:] = [item for item in items if item not in empty]


@pytest.fixture
def document(request):
    """All that is declared."""
    return request.config.netkeel_document
