"""Fixtures of the end-to-end and fault tests: a private world each, a time limit, logs where a test fails."""
import signal

import pytest

from harness import BIN, SAN, World

# A shell that runs us in the background ignores these two, and so would every daemon and task.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

LIMIT_S = 240 if SAN else 60


def pytest_collection_modifyitems(items):
    if not (BIN / "hq").exists():
        pytest.exit(f"no programs in {BIN}: run make first", returncode=1)


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


@pytest.fixture
def server(world):
    """A world whose server runs."""
    world.server = world.start_server()
    return world


@pytest.fixture
def cluster(server):
    """A world with a server and one worker of two cpus."""
    server.worker = server.start_worker()
    return server


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    limit = item.get_closest_marker("limit")
    seconds = limit.args[0] if limit else LIMIT_S

    def too_late(_number, _frame):
        raise TimeoutError(f"the test took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for world in item.funcargs.values():
        if not isinstance(world, World):
            continue
        for daemon in world.daemons:
            state = "running" if daemon.running() else f"ended, {daemon.process.returncode}"
            report.sections.append((f"{daemon.name} ({state})", daemon.out()[-2000:] + daemon.err()[-4000:]))
        break


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): another time limit for this test")
