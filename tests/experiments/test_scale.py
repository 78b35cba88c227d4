"""The table of scales: what is counted, what is read, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from helpers.data import load_digit_classes, load_digits
from helpers.experiments import scale_table, setting
from helpers.experiments.scale import CELLS, NOT_STATED, PAPERS, ROWS, scale_stand_in
from helpers.sweeps import load_table

RECORDED = ("where_it_looks", "loss_distributions", "deep_networks", "elr", "human_noise")


@pytest.mark.parametrize("paper", PAPERS)
def test_a_papers_column_is_whole(paper):
    data = load_digits()
    column = scale_table(paper, setting("real_images", data), data, range(2)).frame["paper"]
    assert list(column.index) == list(ROWS) and (column.str.len() > 0).all()
    assert column["source"] not in (NOT_STATED, "not known")


def test_parameters_are_counted_in_the_networks():
    data = load_digits()
    chosen = [setting("deep_networks", data, network=network) for network in ("VGG", "ResNet")]
    frame = scale_table("han2025role", chosen, data, range(3)).frame
    counts = [sum(p.numel() for p in one.network(data, 0).parameters()) for one in chosen]
    assert frame.loc["parameters", "on this page"] == "; ".join(f"{count:,}" for count in counts)
    # 9,220,480 in the convolutions of VGG-11, and 512-4096-4096-10 behind them
    classifier = 512 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 10 + 10
    assert frame.loc["parameters", "paper"] == f"{9_220_480 + classifier:,}"


@pytest.mark.parametrize("name", RECORDED)
def test_a_recordings_column_says_what_its_json_says(name):
    recorded, data = load_table(name), load_digit_classes()
    column = scale_table("liu2020early", setting("elr", data), data, range(2), recorded=recorded).frame["recorded here"]
    made = recorded.made
    assert column["seeds"] == str(len(made["grid"]["seed"])) and column["device"] == made["made_by"]["device"]
    assert column["source"].startswith(f"{name}, {made['recorded']}") and made["note"] in column["source"]
    hours = made["seconds"] * made["workers"] / 3600
    assert 0.5 * hours < float(column["hours"]) < 1.1 * hours
    assert all(column[row] for row in ROWS)


def test_a_value_is_named_where_data_sets_differ_and_said_once_where_not():
    data = load_digit_classes()
    column = scale_table("lim2020analyzing", setting("loss_distributions", data), data, range(4),
                         recorded=[load_table("loss_distributions")]).frame["recorded here"]
    assert "(MNIST)" in column["size"] and "(CIFAR-10)" in column["size"] and "(" not in column["epochs"]


def test_without_a_recording_its_column_is_empty_and_unknown_things_are_refused():
    data = load_digits()
    chosen = setting("real_images", data)
    assert (scale_table("han2025role", chosen, data, range(2)).frame["recorded here"] == "").all()
    with pytest.raises(ValueError, match="paper"):
        scale_table("nobody", chosen, data, range(2))
    with pytest.raises(ValueError, match="recorded"):
        scale_table("han2025role", chosen, data, range(2), recorded=load_table("phase_flips"))


def test_it_is_shown_whole_in_html_and_wrapped_in_print():
    data = load_digit_classes()
    table = scale_table("liu2020early", setting("elr", data), data, range(4), recorded=load_table("elr"))
    for cell in table.frame.to_numpy().ravel():
        assert cell in table._repr_html_()
    assert max(map(len, repr(table).splitlines())) <= 100
    assert isinstance(table.frame, pd.DataFrame) and set(CELLS) >= {"elr_cell", "loss_cell"}


def test_a_stand_in_has_the_shape_and_the_classes():
    for n_classes in (2, 10):
        data = scale_stand_in("x", (3, 16, 16), n_classes)
        assert data.image_shape == (3, 16, 16) and data.n_classes == n_classes and np.all(data.x == 0)
