"""The slice of a chapter's code that a solution needs: all that decides its values, and nothing else."""

import ast
from pathlib import Path
from types import ModuleType

import pytest
import slices

# what is in the slice: (a chapter's statements, one a string; what the solution reads; those of them that are left out)
CASES = {
    "another name": (["a = 1", "b = 2"], "b", [0]),
    "names behind names": (["a = 1", "other = 3", "b = a", "c = [b]"], "c", [1]),
    "bound anew": (["a = 1", "b = a", "a = 2"], "a", [0, 1]),
    "read before it is bound anew": (["a = 1", "a = a + 1", "a += 1"], "a", []),
    "bound later": (["a = 1", "b = a", "a = 2"], "b", [2]),
    "two at once": (["a, b = 1, 2", "c = 3"], "b", [1]),
    "a list that grows": (["x, y = [], []", "x.append(1)", "y.append(2)", "x.extend([3])"], "x", [2]),
    "a dictionary that grows": (["x = {}", "x['a'] = {}", "x['a']['b'] = 1", "x.update(c=2)"], "x", []),
    "an attribute": (["import types", "x = types.SimpleNamespace()", "x.a = 1", "b = x.a"], "x", [3]),
    "changed and then bound anew": (["x = [1]", "x.append(2)", "x = [3]"], "x", [0, 1]),
    "what changes it is needed": (["a = 1", "x = {}", "x['a'] = a", "a = 5"], "x", [3]),
    "a function reads a global name": (["k = 3", "def f(x):\n    return x + k", "y = f(1)"], "y", []),
    "a function's own names": (["x = 5", "def f(x):\n    z = x\n    return z", "z = 7", "y = f(1)"], "y", [0, 2]),
    "a function in a function": (["k = 3", "def f(x):\n    return (lambda: x + k)()", "y = f(1)"], "y", []),
    "a comprehension's own name": (["i = 9", "k = 2", "y = [k * i for i in range(3)]"], "y", [0]),
    "a set's own name": (["i = 9", "k = 2", "y = {k * i for i in range(3)}"], "y", [0]),
    "a dictionary's own names": (["i = 9", "k = 2", "y = {i: k * j for i, j in [(1, 2)] if i}"], "y", [0]),
    "a loop": (["t, n = 0, 3", "i = 9", "for i in range(n):\n    t = t + i", "print(n)"], "t", [1, 3]),
    "a loop that fills": (["t = {}", "for i in range(3):\n    t[i] = i", "u = 1"], "t", [2]),
    "a branch may not bind": (["c = False", "a = 0", "if c:\n    a = 1", "print(a)"], "a", [3]),
    "an import": (["import math", "import string", "x = math.pi"], "x", [1]),
    "what is only shown": (["a = 1", "print(a)"], "a", [1]),
}
# a solution's code: the names that it reads before it binds them
NEEDED = {
    "a = b\nc = a": {"b"}, "a = a + 1": {"a"}, "x[i] = y": {"x", "i", "y"}, "import math\nmath.pi": set(),
    "a += 1": {"a"}, "if c:\n    a += 1": {"c", "a"}, "def f(x):\n    x += k\n    return x\nf(1)": {"k"},
    "for x, y in p:\n    z = x + a\n    print(z, y)": {"p", "a", "print"},
}
# what stands in slices.py, and an error that some case must notice
MUTATIONS = {
    "no append": ('{"append", ', "{"),
    "changes do not count": ("(binds | changed(statement)) & wanted", "binds & wanted"),
    "no attributes": ("(ast.Subscript, ast.Attribute)) and isinstance(", "ast.Subscript) and isinstance("),
    "only the outermost index": ("    while isinstance(node, (ast.Subscript", "    if isinstance(node, (ast.Subscript"),
    "what is bound anew stays wanted": ("            wanted -= binds", "            pass"),
    "a branch binds for certain": ("FunctionDef)):\n            wanted", "FunctionDef, ast.If)):\n            wanted"),
    "a sum reads nothing": ("& added_to", "& set()"),
    "what it reads is not needed": ("wanted |= needed([statement])", "pass"),
    "read after it is bound": ("found -= bound(statement)", "pass"),
    "a loop's names are needed": ("needed(statement.body) - own", "needed(statement.body)"),
    "a loop binds nothing": ("set().union(*map(bound, inner)) if inner else set()", "set()"),
    "functions read nothing": ("tables += table.get_children()", "pass"),
    "a function's names are global": ("(top or name.is_global())", "True"),
    "backwards": ("kept[::-1]", "kept"),
}


def without(code, out):
    """The statements of a case that belong to its slice."""
    return [one for i, one in enumerate(code) if i not in out]


def wrong(module):
    """The cases in which `module` is wrong."""
    found = []
    for name, (code, wanted, out) in CASES.items():
        kept = module.slice_for({wanted}, ast.parse("\n".join(code)).body)
        if [ast.unparse(one) for one in kept] != [ast.unparse(ast.parse(one)) for one in without(code, out)]:
            found.append(name)
    return found + [code for code, names in NEEDED.items() if module.needed(ast.parse(code).body) != names]


def test_a_slice_is_exactly_what_decides_the_wanted_name():
    assert wrong(slices) == []


@pytest.mark.parametrize("name", CASES)
def test_a_slice_gives_the_value_that_the_whole_gives(name):
    code, wanted, out = CASES[name]
    whole, part = {}, {}
    exec("\n".join(code), whole)
    exec("\n".join(without(code, out)), part)
    assert part[wanted] == whole[wanted]


@pytest.mark.parametrize("name", MUTATIONS)
def test_an_error_in_the_slicer_is_noticed(name):
    there, instead = MUTATIONS[name]
    text = Path(slices.__file__).read_text("utf-8")
    assert text.count(there) == 1
    broken = ModuleType("broken")
    exec(text.replace(there, instead), broken.__dict__)
    assert wrong(broken)
