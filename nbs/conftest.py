"""A chapter that nbval has run and passed, whole, needs no second run for the book: see tools/execution.py.

Only with --nbval-current-env, for the execution cache belongs to one environment.
"""

import os
from pathlib import Path
from unittest import mock

import execution
import pytest
from nbval.plugin import IPyNbCell

ROOT = Path(__file__).resolve().parent.parent
RUN = pytest.StashKey[execution.Run]()


def threads():
    """Threads of a kernel beside those of the other workers of pytest-xdist."""
    return execution.threads_each(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def pytest_sessionstart(session):
    # Once, before xdist's workers write into the cache side by side.
    if not hasattr(session.config, "workerinput") and session.config.getoption("nbval_current_env"):
        execution.drop_if_stale(ROOT)
        execution.open_cache(ROOT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    if not isinstance(item, IPyNbCell) or item.parent.kernel is not None:
        return (yield)
    run = item.parent.stash[RUN] = execution.Run(item.parent.nb)
    environment = execution.kernel_environment(threads())
    with mock.patch.dict(os.environ, environment, clear=True):
        result = yield  # the kernel starts here, in the environment of the book's own kernels
    run.listen(item.parent.kernel)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield  # raises where the cell fails
    if isinstance(item, IPyNbCell) and item.config.getoption("nbval_current_env"):
        item.parent.stash[RUN].cell_passed(item.cell_num, item.path.with_suffix(".md"), threads(), ROOT)
    return result
