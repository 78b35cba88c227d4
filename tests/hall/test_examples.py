"""The examples in docstrings run and give what they show, and the main entries have one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import helpers

MODULES = [info.name for info in pkgutil.walk_packages(helpers.__path__, "helpers.") if not info.ispkg
           and ".results" not in info.name]
MAIN = {"helpers": ("Record", "SignalNoise", "TwoLayerCNN", "decompose", "descend", "fit", "limit_law", "random_stream",
                    "sweep"),
        "helpers.data": ("add_label_noise", "labelled_arrays", "load_csv", "load_digits", "load_folder"),
        "helpers.engine": ("inner_products", "descend_variant"),
        "helpers.training": ("Recipe", "SmallCNN"), "helpers.theory": ("conditions", "stage_one_bounds"),
        "helpers.reading": ("compare_stops", "selection_quality"), "helpers.experiments": ("phase_cell",),
        "helpers.sweeps": ("load_table",)}


def examples(module):
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@pytest.mark.parametrize("name", [name for name in MODULES if examples(importlib.import_module(name))])
def test_examples_give_what_they_show(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed


@pytest.mark.parametrize(("package", "name"), [(package, name) for package, names in MAIN.items() for name in names])
def test_main_entries_have_an_example(package, name):
    assert ">>> " in inspect.getdoc(getattr(importlib.import_module(package), name))


def test_an_example_that_is_wrong_fails():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda text: None).failed == 1
