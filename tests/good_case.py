"""A good call of a public entry, as `good_arguments` collects them."""

from dataclasses import dataclass, field

ANY_REAL = "negative zero"  # for one number, or each number of an array
ANY_PLACE = "negative zero shape empty"  # for an array of any shape


@dataclass
class Case:
    """A good call: its arguments by name, what else is allowed, and the object whose method is called."""

    arguments: dict
    allowed: dict = field(default_factory=dict)
    on: object = None
    without: tuple = ()  # arguments that the good call leaves out, each with a reason beside it
    fails: str = ""  # why the good call ends in an error where the tests run
