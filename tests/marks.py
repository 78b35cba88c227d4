"""The plugin behind `@pytest.mark.statement("thm-one", "lem-two")`, which says what a test covers."""


def pytest_itemcollected(item):
    """The labels go into the junit file as properties of the test, where tools/statements.py reads them."""
    for mark in item.iter_markers("statement"):
        item.user_properties += [("statement", label) for label in mark.args]
