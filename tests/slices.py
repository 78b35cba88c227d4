"""The part of a chapter's code that a solution needs: what binds its names, and what binds theirs, no more."""

import ast
import symtable

# A method that changes its object: a statement that calls one on a needed name belongs to the slice.
CHANGES = {"append", "extend", "insert", "update", "setdefault", "add"}


def bound(statement):
    """The global names that a top-level statement binds; a loop's own variables are its own affair."""
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Import, ast.ImportFrom, ast.FunctionDef)):
        table = _table(statement)
        return {name.get_name() for name in table.get_symbols() if name.is_assigned() or name.is_imported()}
    inner = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)]
    return set().union(*map(bound, inner)) if inner else set()


def changed(statement):
    """The names whose objects a statement changes: x[...] = , x.attribute = , x.append(...)."""
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            found.add(_root(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            found.add(_root(node.func))
    return found - {None}


def needed(statements):
    """The global names that statements, run in order, read before they bind them."""
    found = set()
    for statement in reversed(statements):
        if isinstance(statement, (ast.Assign, ast.Import, ast.ImportFrom, ast.FunctionDef)):
            found -= bound(statement)
        if isinstance(statement, ast.For):
            own = {node.id for node in ast.walk(statement.target) if isinstance(node, ast.Name)}
            found |= needed(statement.body) - own | _read(statement.iter)
        else:
            found |= _read(statement)
    return found


def slice_for(wanted, statements):
    """Those of the top-level `statements` that decide the values of the names `wanted`, in order."""
    wanted, kept = set(wanted), []
    for statement in reversed(statements):
        binds = bound(statement)
        if not (binds | changed(statement)) & wanted:
            continue
        kept.append(statement)
        if isinstance(statement, (ast.Assign, ast.Import, ast.ImportFrom, ast.FunctionDef)):
            wanted -= binds
        wanted |= needed([statement])
    return kept[::-1]


def _read(node):
    """The global names in `node`, its functions and comprehensions included."""
    found, tables = set(), [_table(node)]
    added_to = {inner.target.id for inner in ast.walk(node)
                if isinstance(inner, ast.AugAssign) and isinstance(inner.target, ast.Name)}
    found |= {name.get_name() for name in tables[0].get_symbols() if name.is_assigned()} & added_to  # x += 1 reads x
    while tables:
        table = tables.pop()
        top = table.get_type() == "module"
        found |= {name.get_name() for name in table.get_symbols() if name.is_referenced() and (top or name.is_global())}
        tables += table.get_children()
    return found


class _Generators(ast.NodeTransformer):
    """Comprehensions become generator expressions: since Python 3.12 others have no scope of their own."""

    def visit_ListComp(self, node):
        self.generic_visit(node)
        return ast.GeneratorExp(getattr(node, "elt", None) or ast.Tuple([node.key, node.value], ast.Load()),
                                node.generators)

    visit_SetComp = visit_DictComp = visit_ListComp


def _table(statement):
    tree = _Generators().visit(ast.parse(ast.unparse(statement)))
    return symtable.symtable(ast.unparse(tree), "statement", "exec")


def _root(node):
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
