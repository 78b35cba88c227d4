"""What is allowed for the arguments that the experiments share, by name."""

from helpers import checks

# name: (smallest, largest); an int where the argument is one.
INTEGERS = {"seed": (0, 2**63 - 1), "n_train": (1, 10**9), "n_val": (0, 10**9), "n_test": (0, 10**9),
            "epochs": (1, 10**6), "width": (1, 10**5), "side": (1, 10**5), "threads": (1, 10**4),
            "per_group": (1, 10**9), "n_background": (1, 10**9), "folds": (2, 10**6), "draws": (1, 10**6),
            "flows": (1, 90), "count": (0, 10**9), "m": (1, 10**9), "steps": (1, 10**9)}
SHARES = ("flip_rate", "flip_minus", "flips", "rate")
PRECISIONS = ("auto", "float32", "bfloat16")


def check_ranges(**given: object) -> None:
    """Raise a ValueError unless each argument, if it is given, is in the range that its name has in all experiments."""
    for name, value in given.items():
        if value is None:
            continue
        if name in INTEGERS:
            checks.integer(name, value, *INTEGERS[name])
        elif name in SHARES:
            checks.real(name, value, 0.0, 1.0, open_high=True)
        elif name == "lr":
            checks.positive(name, value)
        elif name == "init_scale":
            checks.real(name, value, 0.0)
        elif name == "deleted":
            checks.real(name, value, 0.0, 1.0, open_low=True)
        elif name == "precision":
            checks.one_of(name, value, PRECISIONS)
        elif name == "seeds":
            checks.require(len(value) > 0, name, value, "one seed or more")
            check_seeds(name, value)
        else:
            raise LookupError(f"no range is known for {name}")


def check_seeds(name: str, seeds: list[int]) -> None:
    """Raise a ValueError unless each is an integer of 0 or more."""
    for seed in seeds:
        checks.integer(name, seed, 0)
