"""Record the runs that take minutes: book/results/NAME.csv, and NAME.json, which says how it was made.

    python tools/record.py                    record what is missing or made by another grid or other arguments
    python tools/record.py --force NAME ...   record these again, whatever is there
    python tools/record.py --minutes 8        begin no new cells after so many minutes; the next call goes on from there
    python tools/record.py --check            say what is missing or out of date; computes nothing
    python tools/record.py --verify NAME ...  after a change of code that should change no number: compute a small part
                                              again and, if it gives the numbers in the file, count the table as new
    ... --verify --against FOLDER NAME ...    the same on another CPU, whose last digits differ: FOLDER is a checkout
                                              (git worktree) of the code that made the table; both compute, here

Those on images read the files that environment variables such as SIGNAL_FIRST_CIFAR10 name, and say which file it was;
one whose variable is not set is left out. Each finished cell is kept in build/record at once: an interrupted recording
resumes. A cell counts as the same only under the same source of the modules that make it (helpers.sweeps.store). DVC
and Snakemake know the files behind a result, not the code: with them a changed comment would cost hours.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from helpers.data import CIFAR10_VARIABLE, CIFAR10N_VARIABLE, KEEPS
from helpers.experiments import (
    attribution_cell,
    cifar10n_cell,
    comparison_cell,
    deep_cell,
    deep_step_cell,
    elr_cell,
    human_count_cell,
    human_loss_cell,
    human_step_cell,
    loss_cell,
    own_data_cell,
    own_human_cell,
    phase_cell,
    step_cell,
)
from helpers.experiments.deep_networks import STEPS as DEEP_STEP_SIZES
from helpers.experiments.elr import METHODS, NOISES
from helpers.experiments.human_noise import STEPS as HUMAN_STEPS
from helpers.experiments.loss_distributions import MNIST_VARIABLE, STEPS as LOSS_STEPS
from helpers.experiments.own_data import OWN_DATA
from helpers.experiments.paper_images import STEPS as PAPER_STEPS, paper_image_cell, paper_step_cell
from helpers.experiments.phase_diagram import PLANES
from helpers.sweeps.store import stored_cells
from helpers.sweeps.tables import TablePlan, make_table, table_fault, table_files_read, verify

ROOT = Path(__file__).resolve().parent.parent
RESULTS, STORE = ROOT / "book" / "results", ROOT / "build" / "record"
SAME = "the same numbers"

# What a table NAME_steps chooses goes into CHOSEN_STEPS of the experiment's module, which a test compares.
LOSS = {"dataset": ["MNIST", "CIFAR-10"], "kind": ["symmetric", "pair"], "rate": [0.2, 0.45],
        "precision": ["bfloat16"]}
DEEP = {"network": ["VGG", "ResNet"], "flip_rate": [0.0, 0.1, 0.2, 0.4], "n_train": [2000], "n_val": [300],
        "size": ["quick"], "precision": ["bfloat16"]}
# The comparison of ELR with its controls: what is recorded, and what eight core hours can do in its place.
ELR_SMALL = {"noise": ["symmetric 0.4"], "loss": list(METHODS), "augment": [False],
             "n_train": [2_500], "side": [16], "width": [16], "epochs": [30]}
ELR_LARGE = {"noise": list(NOISES), "loss": list(METHODS), "augment": [True],
             "n_train": [20_000], "side": [16], "width": [32], "epochs": [40]}
ELR_GRID = ELR_SMALL

# Sizes are what two CPU cores can do in an evening; seeds run slowest, so that the first cells show all settings.
TABLES = {
    "phase_flips": TablePlan(phase_cell, PLANES["phase_flips"],
                             "The phase diagram over n SNR^2 and the flip rate, at two ratios d/n"),
    "phase_dimensions": TablePlan(phase_cell, PLANES["phase_dimensions"],
                                  "The phase diagram over n SNR^2 and d/n, at one flip rate"),
    "comparisons": TablePlan(
        comparison_cell, {"seed": list(range(10)), "flip_rate": [0.1, 0.2, 0.3, 0.4], "n_train": [2000]},
        "Stopping rules and scores of trust on two classes of CIFAR-10, over flip rates",
        at_a_time=4, reads=(CIFAR10_VARIABLE,)),
    "human_noise": TablePlan(
        cifar10n_cell, {"seed": [0, 1, 2], "kind": ["aggregate", "random1", "worst"], "keep": list(KEEPS)},
        "CIFAR-10N with labels as people gave them, and with controls that keep less of their tie to the image",
        at_a_time=4, reads=(CIFAR10_VARIABLE, CIFAR10N_VARIABLE)),
    "human_counts": TablePlan(
        human_count_cell, {"labels": ["three people", "random1", "random2", "random3", "aggregate", "worst"]},
        "What the 50,000 labels of CIFAR-10N say by themselves: rates, flows, and mistakes that people share",
        reads=(CIFAR10N_VARIABLE,)),
    "human_steps": TablePlan(
        human_step_cell, {"kind": ["aggregate", "random1", "worst"], "loss": ["cross-entropy", "ELR"],
                          "lr": list(HUMAN_STEPS), "n_train": [10_000], "epochs": [6]},
        "Error on held-out labels of CIFAR-10N after a short run, by step size: what the step is chosen by",
        at_a_time=4, reads=(CIFAR10_VARIABLE, CIFAR10N_VARIABLE)),
    "human_losses": TablePlan(
        human_loss_cell, {"seed": [0, 1, 2], "kind": ["aggregate", "random1", "worst"],
                          "loss": ["cross-entropy", "ELR"], "n_train": [10_000], "epochs": [25]},
        "Cross-entropy and early-learning regularisation on CIFAR-10N, to the end and stopped on held-out labels",
        at_a_time=4, reads=(CIFAR10_VARIABLE, CIFAR10N_VARIABLE)),
    "own_data": TablePlan(
        own_data_cell, {"seed": [0, 1, 2, 3, 4], "dataset": list(OWN_DATA), "rate": [0.1, 0.2, 0.4]},
        "Rankings, cleaning and estimates of the flip rate on digits and tables, on the same data and folds",
        at_a_time=5, probe={"dataset": "wine, symmetric", "epochs": 4}),
    "own_human": TablePlan(
        own_human_cell, {"seed": [0, 1, 2], "kind": ["aggregate", "worst"], "n_train": [10_000]},
        "Rankings, cleaning and estimates of the flip rate on CIFAR-10 with labels that people gave",
        at_a_time=1, reads=(CIFAR10_VARIABLE, CIFAR10N_VARIABLE),
        probe={"n_train": 300, "n_val": 60, "epochs": 2, "width": 4}),
    "where_it_looks": TablePlan(
        attribution_cell, {"seed": [0, 1, 2], "flip_rate": [0.2], "n_train": [10_000],
                           "network": ["small"]},
        "How far attributions turn while wrong labels are memorised, on all images of two classes of CIFAR-10",
        at_a_time=2, reads=(CIFAR10_VARIABLE,)),
    "loss_steps": TablePlan(
        step_cell, {**LOSS, "lr": list(LOSS_STEPS), "n_train": [10_000], "epochs": [6]},
        "Error on held-out observed labels after a short run, by step size: what the step is chosen by",
        at_a_time=4, reads=(MNIST_VARIABLE, CIFAR10_VARIABLE)),
    "loss_distributions": TablePlan(
        loss_cell, {"seed": [0, 1, 2], **LOSS, "n_train": [10_000], "n_test": [10_000], "epochs": [20]},
        "Distances between clean and noisy losses over epochs, for symmetric and pair noise on MNIST and CIFAR-10",
        at_a_time=4, reads=(MNIST_VARIABLE, CIFAR10_VARIABLE)),
    "paper_steps": TablePlan(
        paper_step_cell, {"seed": [100], "flip_rate": [0.0, 0.2], "lr": list(PAPER_STEPS)},
        "Step sizes of VGG-11 on two classes of CIFAR-10, judged by held-out observed labels",
        at_a_time=2, reads=(CIFAR10_VARIABLE,), probe={"n_train": 120, "n_val": 20, "epochs": 1, "width": 8}),
    "paper_images": TablePlan(
        paper_image_cell, {"seed": [0, 1, 2], "flip_rate": [0.2, 0.0], "n_outputs": [10]},
        "The image experiment of Han et al. (2025) at its own size: VGG-11 as released, all 10,000 training images",
        at_a_time=2, reads=(CIFAR10_VARIABLE,),
        probe={"n_train": 120, "epochs": 3, "width": 8, "per_group": 4, "n_background": 2}),
    "deep_steps": TablePlan(
        deep_step_cell, {"seed": [100], **DEEP, "lr": list(DEEP_STEP_SIZES)},
        "Step sizes of the narrow VGG-11 and the small ResNet, judged by held-out observed labels",
        at_a_time=4, reads=(CIFAR10_VARIABLE,)),
    "deep_networks": TablePlan(
        deep_cell, {"seed": [0, 1, 2], **DEEP},
        "Two stages of a narrow VGG-11 and a small ResNet on two classes of CIFAR-10, over flip rates",
        at_a_time=4, reads=(CIFAR10_VARIABLE,)),
    "elr_steps": TablePlan(
        elr_cell, {"seed": [100], "lr": [0.03, 0.1] if ELR_GRID is ELR_SMALL else [0.01, 0.03, 0.1], **ELR_GRID},
        "Step sizes for each method and noise, on a seed of its own, to be chosen by observed validation labels",
        at_a_time=10, reads=(CIFAR10_VARIABLE,)),
    "elr": TablePlan(
        elr_cell, {"seed": [0, 1, 2], **ELR_GRID},
        "Cross-entropy with and without each ingredient of ELR+, ELR, and ELR+ with and without each of its parts",
        at_a_time=10, reads=(CIFAR10_VARIABLE,))}


def commit():
    """The commit of the working tree, with a + if there are changes since; None where git or its history is missing."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def verified(name, against=None):
    """What `verify` finds of a table, in words."""
    try:
        return SAME if verify(name, TABLES[name], RESULTS, against=against) else "other numbers: record it"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing: record it"
    except ValueError as error:  # no readable JSON, or other files to read
        return f"not compared; {error}"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLES)}; all by default")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1: here)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no new cells after so many minutes")
    parser.add_argument("--note", default="", help="kept beside the table, e.g. how the images were made")
    parser.add_argument("--force", action="store_true", help="record even what is up to date")
    parser.add_argument("--verify", action="store_true", help="keep what a small part, computed again, confirms")
    parser.add_argument("--against", metavar="FOLDER", help="with --verify: a checkout of the code that made the table")
    parser.add_argument("--check", action="store_true", help="say what is missing or out of date; fail if any")
    options = parser.parse_args(arguments)
    if options.against and not options.verify:
        parser.error("--against: goes with --verify")
    unknown = [name for name in options.names if name not in TABLES]
    if unknown or options.workers < 1:
        parser.error(f"no such recording: {', '.join(unknown)}" if unknown else "--workers: must be at least 1")
    faults = {name: table_fault(name, TABLES[name], RESULTS) for name in options.names or TABLES}
    if options.check:
        print(*[f"{name}: {reason or 'up to date'}" for name, reason in faults.items()], sep="\n")
        return 1 if any(faults.values()) else 0
    if options.verify:
        said = {name: verified(name, options.against) for name in faults}
        print(*[f"{name}: {text}" for name, text in said.items()], sep="\n")
        return 0 if set(said.values()) == {SAME} else 1
    deadline, left_out = time.monotonic() + 60 * options.minutes, 0
    for name, reason in faults.items():
        if reason is None and not options.force:
            print(f"{name}: up to date")
            continue
        try:
            files = table_files_read(TABLES[name])
        except ValueError as error:
            print(f"{name}: left out; {error}")
            left_out = 1
            continue
        print(f"{name}: {reason or 'forced'}; recording", flush=True)
        made = make_table(name, TABLES[name], RESULTS, STORE / name, options.workers, deadline=deadline, files=files,
                          note=options.note, commit=commit())
        if made is None:
            print(f"{name}: {stored_cells(STORE / name)} cells in the store; run again to go on")
            return 0
        print(f"{name}: {made['rows']} rows, {made['cells_computed']} cells computed in {made['seconds']:.0f} s")
    return left_out


if __name__ == "__main__":
    sys.exit(main())
