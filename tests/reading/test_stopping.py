"""The stopping rules."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from problems import ideal_bound, problem

from helpers import Record, descend
from helpers.reading.stopping import (
    TRAINING_ONLY,
    _split_share,
    stop_at_clearest_split,
    stop_at_deepest_misfit,
    stop_at_first_lull,
    stop_at_lowest,
    stop_at_plateau,
    stop_at_widest_losses,
    stop_by_clean_validation,
    stop_by_noisy_validation,
    stopping_regret,
    stopping_validation_size,
    values_at_stop,
)
from helpers.streams import random_stream
from helpers.theory.early_stopping import early_stopping_limit_exponent
from helpers.theory.limit import limit_law, limit_margins_of_samples

M = 20


def law_record(c=6.0, tau=0.2, n=100, count=60):
    """A Record whose margins are those of the limit law, with the law and its times."""
    law = limit_law(c, tau, np.linspace(0, 8, count))
    y = np.ones(n)
    y_obs = np.where(np.arange(n) < tau * n, -1.0, 1.0)
    margins = limit_margins_of_samples(law, y, y_obs)
    return Record(times=np.arange(count), y=y[None], y_obs=y_obs[None], margins=margins[None]), law


def record_of(margins, times=None, y_obs=None, **options):
    margins = np.asarray(margins, float)
    runs, steps, n = margins.shape
    return Record(times=np.arange(1, steps + 1) if times is None else times, y=np.ones((runs, n)),
                  y_obs=np.ones((runs, n)) if y_obs is None else y_obs, margins=margins, **options)


def test_label_free_rules_stop_where_the_limit_law_says():
    record, law = law_record()
    assert abs(law.times[stop_at_deepest_misfit(record)[0]] - law.turning_time) < 0.14  # a grid of 8/59
    assert stop_at_widest_losses(record)[0] == (law.noisy_loss - law.clean_loss).argmax()
    for rule in TRAINING_ONLY.values():
        assert 0 < law.times[rule(record)[0]] < law.memorisation_time
    late, law = law_record(c=3.0)
    assert (law.times[stop_at_widest_losses(late)[0]] > law.memorisation_time >
            law.times[stop_at_deepest_misfit(late)[0]])


def test_plateau_stops_at_the_start_of_the_laws_window_and_late_if_tau_is_guessed_too_low():
    record, law = law_record()
    assert stop_at_plateau(record, 0.2)[0] == stop_at_plateau(record, 0.3)[0] == 1
    assert law.times[stop_at_plateau(record, 0.1)[0]] > law.memorisation_time
    never = record_of(-np.ones((2, 3, 4)))
    assert stop_at_plateau(never, [0.1, 0.5]).tolist() == [2, 2]


@pytest.mark.parametrize(("tie", "expected"), [("first", [1, 0]), ("middle", [1, 1]), ("last", [3, 2])])
def test_lowest_breaks_ties_as_told(tie, expected):
    assert stop_at_lowest([[3, 1, 2, 1], [5, 5, 5, 6]], tie=tie).tolist() == expected


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.sampled_from(["first", "middle", "last"]))
def test_lowest_is_a_minimum_and_has_no_regret(values, tie):
    error = np.array([values], float)
    lowest = stop_at_lowest(error, tie=tie)
    assert stopping_regret(error, lowest) == 0 and values_at_stop(error, lowest) == min(values)
    first, middle, last = (stop_at_lowest(error, tie=one)[0] for one in ("first", "middle", "last"))
    assert first <= middle <= last


def test_validation_rules_read_their_own_column():
    errors = {"validation_error": [[0.5, 0.1, 0.3, 0.1]], "validation_observed_error": [[0.5, 0.4, 0.2, 0.2]]}
    record = record_of(np.ones((1, 4, 3)), **{name: np.array(value) for name, value in errors.items()})
    assert stop_by_clean_validation(record)[0] == 1 and stop_by_clean_validation(record, tie="last")[0] == 3
    assert stop_by_noisy_validation(record)[0] == 2 and stop_by_noisy_validation(record, tie="last")[0] == 3


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_split_share_is_the_best_threshold(values):
    """Otsu's criterion against its definition: the largest variance between the sides over all thresholds."""
    values = np.sort(np.array(values))
    best = 0.0
    for k in range(1, len(values)):
        low, high = values[:k], values[k:]
        best = max(best, len(low) * len(high) / len(values) ** 2 * (low.mean() - high.mean()) ** 2)
    if values.std() > 1e-3:  # else the share is rounding
        assert _split_share(values) == pytest.approx(best / values.var(), rel=1e-9)
        assert 0 < _split_share(values) <= 1 + 1e-12


def test_split_share_of_two_points_is_one_and_of_equal_values_zero():
    assert _split_share(np.array([1.0, 1, 1, 5, 5])) == pytest.approx(1)
    assert _split_share(np.array([[2.0, 2, 2], [0, 0, 3]])).tolist() == pytest.approx([0, 1])


def test_clearest_split_prefers_groups_to_scatter():
    scatter = np.linspace(-2, 2, 10)
    groups = np.where(np.arange(10) < 5, -1.0, 1.0)
    assert stop_at_clearest_split(record_of([[scatter, groups, 2 * scatter]]))[0] == 1


def flips_between(counts, n=20):
    """A run whose training predictions change `counts[k]` times between its recorded times k and k + 1."""
    signs = [np.ones(n)]
    for count in counts:
        signs.append(signs[-1] * np.where(np.arange(n) < count, -1, 1))
    return np.array(signs)


def test_first_lull_is_the_first_local_minimum_of_the_averaged_changes():
    run = flips_between([9, 6, 3, 0, 0, 3, 9, 9])
    assert stop_at_first_lull(record_of(run[None]), window=1)[0] == 4
    assert stop_at_first_lull(record_of(run[None]),
                              window=3)[0] == 5  # averages 6, 3, 1, 1, 4, 7 end at times 3, 4, 5, ...
    falling = flips_between([8, 6, 4, 2])
    assert stop_at_first_lull(record_of(falling[None]), window=1)[0] == 4


def test_first_lull_counts_changes_per_unit_of_time_and_reads_no_label():
    run = flips_between([8, 6, 6, 2])
    even, uneven = record_of(run[None]), record_of(run[None], times=[0, 1, 2, 6, 7])
    assert stop_at_first_lull(even, window=1)[0] == 2 and stop_at_first_lull(uneven, window=1)[0] == 3
    other = np.where(np.arange(20) % 3 == 0, -1.0, 1.0)[None]
    relabelled = record_of(run[None] * other[:, None], y_obs=other)  # the same predictions, other labels
    assert stop_at_first_lull(relabelled, window=1)[0] == 2


def test_no_rule_stops_before_training_begins():
    rng = random_stream(0, "margins")
    margins = rng.standard_normal((3, 6, 10))
    margins[:, 0] *= 100
    record = record_of(margins, times=np.arange(6))
    assert all((rule(record) > 0).all() for rule in TRAINING_ONLY.values())


def test_regret_is_what_the_oracle_saves():
    error = np.array([[0.5, 0.2, 0.3], [0.1, 0.4, 0.4]])
    assert stopping_regret(error, np.array([2, 0])) == pytest.approx([0.1, 0.0])


def test_first_minimum_is_safe_on_reused_noise_and_the_last_is_not():
    """Chapter 9's clear case: fresh validation is flat, so that its tie rule decides the reused error (5 seeds)."""
    record = descend(problem(2_000), M, 1e-3, 0.2, 200, range(5), n_test=10, n_val=200)
    assert values_at_stop(record.reused_error, stop_by_noisy_validation(record)).max() < 0.01
    assert values_at_stop(record.reused_error, stop_by_noisy_validation(record, tie="last")).min() > 0.02
    assert values_at_stop(record.reused_error, stop_at_first_lull(record)).max() < 0.01


@pytest.mark.parametrize(("call", "message"), [
    (lambda record: stop_by_noisy_validation(record), "n_val"),
    (lambda record: stop_at_plateau(record, 0.6), "flip_rate"),
    (lambda record: stop_at_lowest([[1.0]], tie="random"), "tie"),
    (lambda record: stop_at_lowest([1.0]), "values.shape"),
    (lambda record: stop_at_lowest([[np.nan]]), "NaN"), (lambda record: stop_at_first_lull(record, window=9), "window"),
    (lambda record: stopping_validation_size(0.5, 0.1, 3), "flip_rate"),
    (lambda record: stopping_validation_size(0.1, 0.0, 3), "gap"),
    (lambda record: stop_at_deepest_misfit(record_of(np.ones((1, 1, 2)), times=[0])), "record.times"),
    (lambda record: early_stopping_limit_exponent(1.0, 0.5), "flip_rate"),
    (lambda record: ideal_bound(2.0, 0.1).reused_exponent(0), "ratio")])
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(record_of(np.ones((1, 3, 4))))
