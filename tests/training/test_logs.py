"""Logs while training."""

import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from columns import SHORT, small_cnn

from helpers.training.logs import CSVLog, TensorBoardLog
from helpers.training.loop import fit


def test_a_table_says_what_the_record_says_and_a_new_run_replaces_it(three, tmp_path):
    for seed in (0, 1):
        record = fit(small_cnn(three), three, SHORT, seed, n_val=20, log=CSVLog(tmp_path / "run.csv"))
    table = pd.read_csv(tmp_path / "run.csv")
    assert table["epoch"].tolist() == record.times.tolist()
    for name in ("fresh_error", "observed_error", "validation_error", "validation_observed_error"):
        assert table[name].to_numpy() == pytest.approx(getattr(record, name)[0])
    assert table["loss"].to_numpy() == pytest.approx(record.losses[0].mean(1))


def test_rows_after_a_resumption_do_not_repeat(tmp_path):
    log = CSVLog(tmp_path / "run.csv")
    for epoch in range(4):
        log(epoch, {"loss": 0.1 * epoch})
    again = CSVLog(tmp_path / "run.csv")
    again.begin(1)
    again(2, {"loss": 7.0})
    assert pd.read_csv(tmp_path / "run.csv")["epoch"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="columns"):
        again(3, {"other": 7.0})


def test_a_file_of_another_kind_is_not_touched(tmp_path):
    (tmp_path / "data.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match="a table that CSVLog wrote"):
        CSVLog(tmp_path / "data.csv")


def test_tensorboard_gets_each_value_or_the_error_says_what_to_install(three, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        TensorBoardLog(tmp_path)
    told = []
    writer = SimpleNamespace(add_scalar=lambda *values: told.append(values), flush=lambda: None, close=lambda: None)
    module = SimpleNamespace(SummaryWriter=lambda folder, purge_step=None: writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    fit(small_cnn(three), three, SHORT, 0, log=TensorBoardLog(tmp_path))
    assert {name for name, _, _ in told} >= {"loss", "observed_error", "lr"}
    assert [epoch for name, _, epoch in told if name == "loss"] == list(range(SHORT.epochs + 1))
