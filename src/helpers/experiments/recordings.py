"""What is recorded: for each table its function, its grid and what it shows, as `helpers.sweeps.TablePlan` takes them.

tools/record.py makes them all, in an evening or two; `make_table(name, TablePlan(**RECORDINGS[name]), ...)` makes one.
"""

from helpers.data.cifar10n import CIFAR10N_VARIABLE
from helpers.data.datasets import CIFAR10_VARIABLE
from helpers.data.raters import KEEPS
from helpers.experiments.comparisons import comparison_cell
from helpers.experiments.deep_networks import STEPS as DEEP_STEP_SIZES, deep_cell, deep_step_cell
from helpers.experiments.elr import METHODS, NOISES, elr_cell
from helpers.experiments.human_noise import (
    STEPS as HUMAN_STEPS,
    cifar10n_cell,
    human_count_cell,
    human_loss_cell,
    human_step_cell,
)
from helpers.experiments.loss_distributions import MNIST_VARIABLE, STEPS as LOSS_STEPS, loss_cell, step_cell
from helpers.experiments.own_data import OWN_DATA, own_data_cell, own_human_cell
from helpers.experiments.paper_images import STEPS as PAPER_STEPS, paper_image_cell, paper_step_cell
from helpers.experiments.phase_diagram import PLANES, phase_cell
from helpers.experiments.where_it_looks import attribution_cell

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
RECORDINGS: dict[str, dict] = {
    "phase_flips": dict(
        function=phase_cell,
        grid=PLANES["phase_flips"],
        about="The phase diagram over n SNR^2 and the flip rate, at two ratios d/n"),
    "phase_dimensions": dict(
        function=phase_cell,
        grid=PLANES["phase_dimensions"],
        about="The phase diagram over n SNR^2 and d/n, at one flip rate"),
    "comparisons": dict(
        function=comparison_cell,
        grid={"seed": list(range(10)), "flip_rate": [0.1, 0.2, 0.3, 0.4], "n_train": [2000]},
        about="Stopping rules and scores of trust on two classes of CIFAR-10, over flip rates",
        at_a_time=4, reads=(CIFAR10_VARIABLE,)),
    "human_noise": dict(
        function=cifar10n_cell,
        grid={"seed": [0, 1, 2], "kind": ["aggregate", "random1", "worst"], "keep": list(KEEPS)},
        about="CIFAR-10N with labels as people gave them, and with controls that keep less of their tie to the image",
        at_a_time=4, reads=(CIFAR10_VARIABLE, CIFAR10N_VARIABLE)),
    "human_counts": dict(
        function=human_count_cell,
        grid={"labels": ["three people", "random1", "random2", "random3", "aggregate", "worst"]},
        about="What the 50,000 labels of CIFAR-10N say by themselves: rates, flows, and mistakes that people share",
        reads=(CIFAR10N_VARIABLE,)),
    "human_steps": dict(
        function=human_step_cell,
        grid={"kind": ["aggregate", "random1", "worst"], "loss": ["cross-entropy", "ELR"],
              "lr": list(HUMAN_STEPS), "n_train": [10_000], "epochs": [6]},
        about="Error on held-out labels of CIFAR-10N after a short run, by step size: what the step is chosen by",
        at_a_time=4, reads=(CIFAR10_VARIABLE, CIFAR10N_VARIABLE)),
    "human_losses": dict(
        function=human_loss_cell,
        grid={"seed": [0, 1, 2], "kind": ["aggregate", "random1", "worst"], "loss": ["cross-entropy", "ELR"],
              "n_train": [10_000], "epochs": [25]},
        about="Cross-entropy and early-learning regularisation on CIFAR-10N, "
              "to the end and stopped on held-out labels",
        at_a_time=4, reads=(CIFAR10_VARIABLE, CIFAR10N_VARIABLE)),
    "own_data": dict(
        function=own_data_cell,
        grid={"seed": [0, 1, 2, 3, 4], "dataset": list(OWN_DATA), "rate": [0.1, 0.2, 0.4]},
        about="Rankings, cleaning and estimates of the flip rate on digits and tables, on the same data and folds",
        at_a_time=5, probe={"dataset": "wine, symmetric", "epochs": 4}),
    "own_human": dict(
        function=own_human_cell,
        grid={"seed": [0, 1, 2], "kind": ["aggregate", "worst"], "n_train": [10_000]},
        about="Rankings, cleaning and estimates of the flip rate on CIFAR-10 with labels that people gave",
        at_a_time=1, reads=(CIFAR10_VARIABLE, CIFAR10N_VARIABLE),
        probe={"n_train": 300, "n_val": 60, "epochs": 2, "width": 4}),
    "where_it_looks": dict(
        function=attribution_cell,
        grid={"seed": [0, 1, 2], "flip_rate": [0.2], "n_train": [10_000], "network": ["small"]},
        about="How far attributions turn while wrong labels are memorised, on all images of two classes of CIFAR-10",
        at_a_time=2, reads=(CIFAR10_VARIABLE,)),
    "loss_steps": dict(
        function=step_cell,
        grid={**LOSS, "lr": list(LOSS_STEPS), "n_train": [10_000], "epochs": [6]},
        about="Error on held-out observed labels after a short run, by step size: what the step is chosen by",
        at_a_time=4, reads=(MNIST_VARIABLE, CIFAR10_VARIABLE)),
    "loss_distributions": dict(
        function=loss_cell,
        grid={"seed": [0, 1, 2], **LOSS, "n_train": [10_000], "n_test": [10_000], "epochs": [20]},
        about="Distances between clean and noisy losses over epochs, "
              "for symmetric and pair noise on MNIST and CIFAR-10",
        at_a_time=4, reads=(MNIST_VARIABLE, CIFAR10_VARIABLE)),
    "paper_steps": dict(
        function=paper_step_cell,
        grid={"seed": [100], "flip_rate": [0.0, 0.2], "lr": list(PAPER_STEPS)},
        about="Step sizes of VGG-11 on two classes of CIFAR-10, judged by held-out observed labels",
        at_a_time=2, reads=(CIFAR10_VARIABLE,), probe={"n_train": 120, "n_val": 20, "epochs": 1, "width": 8}),
    "paper_images": dict(
        function=paper_image_cell,
        grid={"seed": [0, 1, 2], "flip_rate": [0.2, 0.0], "n_outputs": [10]},
        about="The image experiment of Han et al. (2025) at its own size: "
              "VGG-11 as released, all 10,000 training images",
        at_a_time=2, reads=(CIFAR10_VARIABLE,),
        probe={"n_train": 120, "epochs": 3, "width": 8, "per_group": 4, "n_background": 2}),
    "deep_steps": dict(
        function=deep_step_cell,
        grid={"seed": [100], **DEEP, "lr": list(DEEP_STEP_SIZES)},
        about="Step sizes of the narrow VGG-11 and the small ResNet, judged by held-out observed labels",
        at_a_time=4, reads=(CIFAR10_VARIABLE,)),
    "deep_networks": dict(
        function=deep_cell,
        grid={"seed": [0, 1, 2], **DEEP},
        about="Two stages of a narrow VGG-11 and a small ResNet on two classes of CIFAR-10, over flip rates",
        at_a_time=4, reads=(CIFAR10_VARIABLE,)),
    "elr_steps": dict(
        function=elr_cell,
        grid={"seed": [100], "lr": [0.03, 0.1] if ELR_GRID is ELR_SMALL else [0.01, 0.03, 0.1], **ELR_GRID},
        about="Step sizes for each method and noise, on a seed of its own, to be chosen by observed validation labels",
        at_a_time=10, reads=(CIFAR10_VARIABLE,)),
    "elr": dict(
        function=elr_cell,
        grid={"seed": [0, 1, 2], **ELR_GRID},
        about="Cross-entropy with and without each ingredient of ELR+, ELR, "
              "and ELR+ with and without each of its parts",
        at_a_time=10, reads=(CIFAR10_VARIABLE,))}
