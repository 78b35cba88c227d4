"""How large the image experiments of a paper are, those recorded for a chapter and those that its page runs: one table.

Nothing of it is typed but the column of the paper: networks are built and their parameters counted, recipes are read
from the settings, and what a recording says of itself from its JSON.
"""

import csv
import itertools
import textwrap
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import nn

from helpers import checks
from helpers.data.images import LabelledImages
from helpers.entry import entry
from helpers.experiments.settings import Setting, setting, small_cnn_setting, vgg_11_setting
from helpers.runtime import best_device, provenance
from helpers.training.models import resnet, vgg
from helpers.training.recipe import Recipe

ROWS = ("network", "parameters", "images", "size", "epochs", "step", "seeds", "precision", "device", "hours", "source")
NOT_STATED = "not stated"
WIDTH = 26  # of a printed column
STYLE = "text-align: left; white-space: normal"  # of a cell in a notebook
RUN_TIMES = Path(__file__).parents[3] / "book" / "run_times.csv"
# By citation key: what the paper, or its released code, says; a network is built and counted. What is not listed is not
# stated there.
PAPERS = {
    "han2025role": {
        "network": "VGG-11 without batch normalisation", "parameters": partial(vgg, n_outputs=10),
        "images": "10,000, two classes of CIFAR-10", "size": "32 × 32 × 3",
        "source": "Section 6 of the ICLR 2025 version; released code"},
    "lim2020analyzing": {
        "source": "abstract; the text is not known to us"} | dict.fromkeys(ROWS[:-1], "not known"),
    "liu2020early": {
        "network": "ResNet-34", "parameters": partial(resnet, n_outputs=10, depth=34),
        "images": "45,000 of CIFAR-10, 5,000 held out with noisy labels", "size": "32 × 32 × 3", "epochs": "120",
        "step": "0.02, divided by 100 at epochs 40 and 80; batch 128", "seeds": "5 draws of the noise",
        "device": "Nvidia V100", "hours": "1.1 per run of ELR, 2.3 of ELR+", "source": "paper and released code"},
    "wei2022cifar10n": {
        "network": "ResNet-34", "parameters": partial(resnet, n_outputs=10, depth=34),
        "images": "50,000, all of CIFAR-10", "size": "32 × 32 × 3", "epochs": "100",
        "step": "0.1, divided by 10 at epoch 60; batch 128", "source": "released code"}}


@runtime_checkable
class ScaleRecording(Protocol):
    """A recorded table, as `helpers.sweeps.load_table` reads it."""

    name: str
    table: pd.DataFrame
    made: dict


@dataclass(frozen=True)
class ScaleSetup:
    """One network on one data set, as a column of the table counts it.

    Parameters
    ----------
    setting
        the network and its recipe.
    data
        the images, or a stand-in of their shape and number of classes (`scale_stand_in`).
    images
        how many are trained on.
    """

    setting: Setting
    data: LabelledImages
    images: int


@dataclass(frozen=True, eq=False)
class ScaleTable:
    """What `scale_table` gives: in a notebook its cells are shown whole, printed they are wrapped.

    Attributes
    ----------
    frame
        the table, text.
    """

    frame: pd.DataFrame

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return self.frame.to_html(justify="left").replace("<td>", f"<td style='{STYLE}'>")

    def __repr__(self) -> str:
        lines = []
        for name, row in zip(["", *self.frame.index], [self.frame.columns, *self.frame.to_numpy()]):
            cells = [textwrap.wrap(text, WIDTH) for text in row]
            lines += ["  ".join([label.ljust(10), *(part.ljust(WIDTH) for part in parts)]).rstrip()
                      for label, parts in zip(itertools.chain([name], itertools.repeat("")),
                                              itertools.zip_longest(*cells, fillvalue=""))]
        return "\n".join(lines)


@entry
def scale_table(paper: str, settings: Setting | Sequence[Setting], data: LabelledImages, seeds: Sized, *,
                recorded: ScaleRecording | Sequence[ScaleRecording] = (), chapter: str = "") -> ScaleTable:
    """The table with which a chapter with images opens: paper, recorded here, on this page.

    Parameters
    ----------
    paper
        the citation key of the paper, one of `PAPERS`.
    settings
        of the page's runs, as from `setting`.
    data
        the images that the page trains on.
    seeds
        of the page's runs.
    recorded
        the chapter's recorded tables, as from `load_table`, each by a cell function of `CELLS`.
    chapter
        the page's name, such as "14_where_it_looks": its hours are those of book/run_times.csv, where that file is.

    Returns
    -------
    ScaleTable
        With the rows of `ROWS`. Parameters are counted in the networks themselves, one network per paper, one for
        each network and data set of a recording and of the page. Hours are those of one core.

    Raises
    ------
    ValueError
        If there is no such paper, or a recording is of an unknown function.

    Examples
    --------
    >>> from helpers.data import load_digits
    >>> from helpers.experiments import scale_table, setting
    >>> data = load_digits()
    >>> table = scale_table("han2025role", setting("real_images", data), data, range(10))
    >>> table.frame.loc["parameters"].tolist()
    ['28,144,010', '', '51,841']
    """
    checks.one_of("paper", paper, PAPERS)
    settings = [settings] if isinstance(settings, Setting) else list(settings)
    checks.require(len(settings) > 0, "settings", settings, "one Setting or more")
    checks.require(len(seeds) > 0 and not isinstance(seeds, (str, bytes)), "seeds", seeds, "those of the page's runs")
    recorded = [recorded] if hasattr(recorded, "made") else list(recorded)
    made = provenance()
    here = _column([ScaleSetup(one, data, data.n) for one in settings])
    here |= {"seeds": str(len(seeds)), "precision": _precision("auto", best_device()),
             "device": f"{made['device']}, {made['profile']} profile", "hours": _chapter_hours(chapter),
             "source": data.name}
    columns = {"paper": _of_paper(paper), "recorded here": _joined([_of_recording(one) for one in recorded]),
               "on this page": here}
    return ScaleTable(pd.DataFrame(columns, index=list(ROWS)).fillna(""))


def scale_stand_in(name: str, image_shape: tuple[int, int, int], n_classes: int) -> LabelledImages:
    """Images of zeros with the name, shape and classes of a data set that need not be there."""
    x, two = np.zeros((2, *image_shape), np.float32), n_classes == 2
    labels = np.array([-1.0, 1.0]) if two else np.array([0, 1])
    return LabelledImages(name, tuple(map(str, range(n_classes))), x, labels, x, labels)


def _of_paper(paper: str) -> dict[str, str]:
    known = PAPERS[checks.one_of("paper", paper, PAPERS)]
    found = dict.fromkeys(ROWS, NOT_STATED) | known
    make = known["parameters"]
    return found | ({} if isinstance(make, str) else {"parameters": _count(partial(make, (3, 32, 32), seed=0))})


def _of_recording(recording: ScaleRecording) -> dict[str, str]:
    made, table = recording.made, recording.table
    describe = CELLS[checks.one_of("recorded", made["function"], CELLS)]
    device = made["made_by"]["device"]
    precision = {_precision(one, "cpu" if "NVIDIA" not in device.upper() else "cuda")
                 for one in _values(made, "precision", "auto")}
    files = ", ".join(text.partition(",")[0] for text in made.get("files", {}).values())
    note = made.get("note", "")
    setups = describe(made)
    batches = ", ".join(f"{size}" for size in sorted({one.setting.recipe.batch_size for one in setups}))
    steps = {"step": f"{', '.join(f'{lr:g}' for lr in sorted(table.lr.unique()))}, chosen on a seed of its own; batch "
                     f"{batches}"} if "lr" in table else {}
    images = {"images": _of_data(table, "images")} if "images" in table and "dataset" in table else {}
    return _column(setups) | steps | images | {
        "seeds": str(len(_values(made, "seed", 0))), "precision": ", ".join(sorted(precision)), "device": device,
        "hours": f"{_core_hours(recording):.2g}",
        "source": "; ".join(filter(None, (f"{recording.name}, {made['recorded']}", files, note)))}


def _column(setups: Sequence[ScaleSetup]) -> dict[str, str]:
    """The rows that a network, its recipe and its images decide, a value for each setup where they differ."""
    several = len({one.data.name for one in setups}) > 1
    rows = []
    for one in setups:
        recipe, on = one.setting.recipe, f" ({one.data.name})" if several else ""
        height, side = one.data.image_shape[1:]
        values = {"network": one.setting.name, "parameters": _count(partial(one.setting.network, one.data, 0)),
                  "images": f"{one.images:,}", "size": f"{height} × {side} × {one.data.image_shape[0]}",
                  "epochs": str(recipe.epochs), "step": f"{_step(recipe)}; batch {recipe.batch_size}"}
        rows.append({name: (value, on) for name, value in values.items()})
    return {name: _different([row[name] for row in rows]) for name in rows[0]}


def _different(values: Sequence[tuple[str, str]]) -> str:
    """Each value once, with what it belongs to where there are several."""
    texts = list(dict.fromkeys(value for value, _ in values))
    return texts[0] if len(texts) == 1 else "; ".join(dict.fromkeys(f"{value}{on}" for value, on in values))


def _of_data(table: pd.DataFrame, name: str) -> str:
    """The counts of a column, by data set where they differ."""
    return _different([(f"{int(count):,}", f" ({dataset})") for dataset, count in
                       table.groupby("dataset", sort=False)[name].first().items()])


def _joined(columns: Sequence[dict[str, str]]) -> dict[str, str]:
    return {name: "; ".join(dict.fromkeys(column[name] for column in columns)) for name in ROWS}


def _step(recipe: Recipe) -> str:
    drop = f", times {recipe.decay:g} at {', '.join(map(str, recipe.milestones))}" if recipe.milestones else ""
    return f"{recipe.lr:g}{drop}"


def _count(make: Callable[[], nn.Module]) -> str:
    """The number of parameters of a network, which is built without memory; "" where that needs torchvision."""
    try:
        with torch.device("meta"):
            return f"{sum(weights.numel() for weights in make().parameters()):,}"
    except ImportError:
        return ""


def _precision(precision: str, device: str) -> str:
    return ("bfloat16" if device == "cuda" else "float32") if precision == "auto" else precision


def _values(made: dict, name: str, default: object) -> list:
    """What a recording's grid or arguments say of a name, as a list."""
    found = made["grid"].get(name, made["arguments"].get(name, default))
    return found if isinstance(found, list) else [found]


def _core_hours(recording: ScaleRecording) -> float:
    """Hours of one core: those that the runs measured themselves, else those of the recording's last call."""
    table, grid = recording.table, list(recording.made["grid"])
    if "seconds" in table:
        return table.groupby(grid, sort=False)["seconds"].first().sum() / 3600
    return recording.made["seconds"] * recording.made["workers"] / 3600


def _chapter_hours(chapter: str) -> str:
    """Hours of a page as kept in book/run_times.csv; "" where it is not known."""
    if not chapter or not RUN_TIMES.is_file():
        return ""
    with RUN_TIMES.open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["chapter"] == chapter and row["profile"] == "quick"]
    return f"{float(found[-1]['seconds']) / 3600:.2g} (whole page, {found[-1]['device']})" if found else ""


def _loss_setups(made: dict) -> list[ScaleSetup]:
    shapes = {"MNIST": (1, 28, 28), "CIFAR-10": (3, 32, 32), "ten digits": (1, 8, 8)}
    (n_train,), (epochs,), found = _values(made, "n_train", 0), _values(made, "epochs", 0), []
    for name in _values(made, "dataset", "CIFAR-10"):
        data = scale_stand_in(name, shapes[name], 10)
        chosen = setting("loss_distributions", data)
        recipe = replace(chosen.recipe, epochs=epochs or chosen.recipe.epochs)
        found.append(ScaleSetup(replace(chosen, recipe=recipe), data, n_train))
    return found


def _small_setups(made: dict, name: str = "CIFAR-10") -> list[ScaleSetup]:
    (width,), (side,), (epochs,), (lr,), (n_train,) = (
        _values(made, key, default) for key, default in (("width", 32), ("side", 32), ("epochs", 30), ("lr", 0.03),
                                                         ("n_train", 10_000)))
    side, lr = side or 32, lr or Recipe.lr  # where the step was chosen for each setting the table has it
    return [ScaleSetup(small_cnn_setting(width, Recipe(epochs=epochs, lr=lr)),
                       scale_stand_in(name, (3, side, side), 10), n_train)]


def _deep_setups(made: dict) -> list[ScaleSetup]:
    data, (size,) = scale_stand_in("CIFAR-10 images", (3, 32, 32), 2), _values(made, "size", "full")
    return [ScaleSetup(setting("deep_networks", data, network=network, size=size), data, n_train)
            for network in _values(made, "network", "VGG") for n_train in _values(made, "n_train", 2000)]


def _attribution_setups(made: dict) -> list[ScaleSetup]:
    data = scale_stand_in("CIFAR-10 images", (3, 32, 32), 2)
    standard = setting("real_images", data)
    kinds = {"small": partial(small_cnn_setting, one_output=True), "vgg11": vgg_11_setting}
    (width,), (n_train,) = _values(made, "width", None), _values(made, "n_train", None)
    return [ScaleSetup(kinds[network](width or standard.width, standard.recipe), data, n_train or 10_000)
            for network in _values(made, "network", "small")]


# By cell function: its networks and data, as the recording's JSON tells them.
CELLS: dict[str, Callable[[dict], list[ScaleSetup]]] = {
    "loss_cell": _loss_setups, "cifar10n_cell": _small_setups,
    "human_loss_cell": _small_setups, "elr_cell": _small_setups, "deep_cell": _deep_setups,
    "attribution_cell": _attribution_setups}
