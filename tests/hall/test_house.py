"""The house: which wing may import which, what each wing offers, and how its interface is written."""

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import FunctionDoc

import helpers
from helpers.entry import behind

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "helpers"
# Wing: the wings that it may import. All import the hall, which imports none.
MAY_IMPORT = {
    "data": (), "engine": ("data",), "training": ("data",), "reading": ("data",), "theory": ("data", "engine"),
    "practice": ("data", "training", "reading"),
    "experiments": ("data", "engine", "training", "reading", "theory", "practice"), "sweeps": ()}
WINGS = tuple(MAY_IMPORT)
# For readers with data or networks of their own; no chapter calls them.
FOR_READERS = {
    "two_class_images", "load_folder", "load_cifar10_pair", "load_cifar100", "load_clothing1m", "load_mnist",
    "load_npz", "load_webvision", "load_csv", "labelled_arrays", "labelled_dataset", "AsymmetricCIFAR100Noise",
    "HumanLabelNoise", "InstanceDependentNoise",
    "TransitionNoise", "flip_labels", "PreActResNet", "resnet", "vgg", "compare_losses",
    "stop_by_clean_validation", "stop_by_noisy_validation", "stop_at_deepest_misfit", "stop_at_widest_losses",
    "stop_at_clearest_split", "cautious_count", "check_target", "clean_labels", "example_folder", "find_suspects",
    "fit_label_pool", "flip_rate_estimates", "read_decisions", "write_cleaned_folder", "write_gallery",
    "class_probabilities", "CSVLog", "TensorBoardLog"}
# Options that stand in their place all the same: a path that may be left out, a label that stands beside what it
# labels, or a network and its recipe.
POSITIONAL = {("load_cifar10n", "path"), ("source_hash", "module"), ("plot_band", "label"),
              ("plot_theory_line", "label"), ("find_suspects", "make_network"), ("find_suspects", "recipe")}


def modules(wing=None):
    return sorted((SOURCE / wing if wing else SOURCE).glob("*.py"))


def imports(path):
    """(line, module, names) of each import of this package in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "helpers":
            yield node.lineno, node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, []) for alias in node.names if alias.name.split(".")[0] == "helpers")


def offered():
    return [(wing, name) for wing in WINGS for name in importlib.import_module(f"helpers.{wing}").__all__]


def contents(wing):
    """{name: value} of what a wing offers; of the hall, the functions and classes of its modules."""
    if wing in WINGS:
        package = importlib.import_module(f"helpers.{wing}")
        return {name: getattr(package, name) for name in package.__all__}
    found = {}
    for path in modules():
        if path.stem not in ("__init__", "checks"):
            room = importlib.import_module(f"helpers.{path.stem}")
            found |= {name: value for name, value in vars(room).items() if not name.startswith("_")
                      and getattr(value, "__module__", "") == room.__name__}
    return found


def functions(wing):
    return {name: value for name, value in contents(wing).items() if inspect.isfunction(value)}


def classes(wing):
    return {name: value for name, value in contents(wing).items() if inspect.isclass(value)}


@pytest.mark.parametrize("wing", [None, *WINGS])
def test_a_wing_imports_the_hall_and_the_wings_named_and_no_other(wing):
    allowed = MAY_IMPORT[wing] + (wing,) if wing else ()
    refused = {f"helpers.{other}" for other in set(WINGS) - set(allowed)}
    faults = [f"{path.relative_to(ROOT)}:{line} imports {module}" for path in modules(wing)
              for line, module, _ in imports(path) if ".".join(module.split(".")[:2]) in refused]
    assert not faults, "\n".join(faults)


def test_modules_import_from_modules_not_from_what_a_wing_offers():
    """What a cached result depends on is read off the import lines, so each must say which module it means."""
    faults = []
    for path in SOURCE.rglob("*.py"):
        for line, module, names in imports(path):
            folder = SOURCE.joinpath(*module.split(".")[1:])
            faults += [f"{path.relative_to(ROOT)}:{line}: {name} of {module}" for name in names
                       if folder.is_dir() and not (folder / f"{name}.py").exists()]
    assert not faults, "\n".join(faults)


def test_the_library_page_and_the_readme_draw_the_same_picture():
    for page in ("README.md", "book/api.md"):
        text = (ROOT / page).read_text("utf-8")
        for wing, others in MAY_IMPORT.items():
            row = re.search(rf"^\|[^|\n]*helpers[./]{wing}\b[^|\n]*\|[^|\n]*\|([^|\n]*)\|$", text, re.MULTILINE)
            assert row, f"{page} has no row for {wing}"
            told = set(re.findall(r"`(\w+)`", row[1]))
            told = set(WINGS) - {wing} - told if "all but" in row[1] else told
            assert told == set(others), f"{page}: {wing}"


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_offers_functions_classes_and_constants_and_no_module_of_the_same_name(wing):
    package = importlib.import_module(f"helpers.{wing}")
    rooms = {path.stem for path in modules(wing)}
    assert package.__all__ and not rooms & set(package.__all__)  # such a module would take the name's place
    for name in package.__all__:
        assert not inspect.ismodule(getattr(package, name)), name
        assert not name.startswith("_")
    with pytest.raises(AttributeError):
        package.no_such_name  # noqa: B018


def test_a_name_has_one_address():
    names = [name for _, name in offered()]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


def test_the_main_names_can_be_had_from_the_package_itself():
    from helpers import (  # noqa: F401
        Record,
        SignalNoise,
        TwoLayerCNN,
        decompose,
        descend,
        fit,
        limit_law,
        sweep,
    )
    assert all(inspect.isfunction(value) or inspect.isclass(value)
               for value in (getattr(helpers, name) for name in helpers.__all__))


def test_what_only_tests_use_is_not_offered():
    texts = [path.read_text("utf-8") for pattern in ("nbs/*.md", "book/**/*.md", "tools/*.py", "benchmarks/*.py")
             for path in ROOT.glob(pattern)]
    sources = {path: path.read_text("utf-8") for path in SOURCE.rglob("*.py")}
    unused = []
    for wing, name in offered():
        value, word = contents(wing)[name], re.compile(rf"\b{name}\b")
        room = Path(inspect.getsourcefile(behind(value)) or "") if inspect.isfunction(value) else None
        elsewhere = [text for path, text in sources.items() if path != room]  # a class is used where its room makes one
        uses = sum(len(word.findall(text)) for text in texts + elsewhere) - (not inspect.isfunction(value))
        if not (uses or name in FOR_READERS):
            unused.append(f"helpers.{wing}.{name}")
    assert not unused, unused


def parameters(function):
    return [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]


def methods(kind):
    return {f"{kind.__name__}.{name}": value for name, value in vars(kind).items()
            if inspect.isfunction(value) and (not name.startswith("_") or name == "__init__")
            and getattr(value, "__qualname__", "").startswith(kind.__name__)
            and not hasattr(behind(value), "__wrapped__")}


@pytest.mark.parametrize("wing", ["hall", *WINGS])
def test_options_are_keyword_only(wing):
    loose = [f"{name}({p.name}=)" for name, function in functions(wing).items() for p in parameters(function)
             if p.default is not p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and (name, p.name) not in POSITIONAL]
    assert not loose, loose


@pytest.mark.parametrize("wing", ["hall", *WINGS])
def test_public_functions_methods_and_fields_carry_type_hints(wing):
    found = functions(wing)
    for kind in classes(wing).values():
        found |= {name: value for name, value in methods(kind).items() if name != f"{kind.__name__}.__init__"
                  or not dataclasses.is_dataclass(kind)}
    bare = [f"{name}({p.name})" for name, function in found.items() for p in parameters(function)
            if p.annotation is p.empty and p.kind is not p.VAR_KEYWORD]
    bare += [f"{name}()" for name, function in found.items()
             if inspect.signature(function).return_annotation is inspect.Signature.empty and "__init__" not in name]
    bare += [f"{kind.__name__}.{field.name}: {field.type}" for kind in classes(wing).values()
             if dataclasses.is_dataclass(kind) for field in dataclasses.fields(kind)
             if field.default is None and "None" not in str(field.type)]
    assert not bare, bare


@pytest.mark.parametrize("wing", ["hall", *WINGS])
def test_docstrings_are_there_and_tell_of_parameters_that_exist(wing):
    faults = []
    for name, value in (functions(wing) | classes(wing)).items():
        doc = inspect.getdoc(value) or ""
        entries = FunctionDoc(None, doc=doc)["Parameters"]
        told = [word.strip("* ") for entry in entries for word in entry.name.split(",")]
        unknown = set(told) - {p.name for p in parameters(value)} if told else set()
        if unknown or not doc.strip():
            faults.append(f"{name}: {', '.join(sorted(unknown)) or 'no docstring'}")
    assert not faults, faults


def test_an_import_that_points_the_wrong_way_is_found(tmp_path, monkeypatch):
    """The rule can fail: one planted import of a wing by the hall, and one of theory by data."""
    for path in ("checks.py", "data/noise.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("def f():\n    from helpers.theory.limit import limit_law\n")
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    for wing in (None, "data"):
        with pytest.raises(AssertionError, match=r"imports helpers\.theory\.limit"):
            test_a_wing_imports_the_hall_and_the_wings_named_and_no_other(wing)
