"""The bounds at the end of Stage I are silent where their hypotheses fail."""

from problems import ideal_bound

from helpers.theory.early_stopping import EarlyStoppingBound
from helpers.theory.stage_one import StageOne


def test_early_bound_is_silent_where_its_hypotheses_fail():
    stage = StageOne(s1=0.1, n_snr2=8.0, norm_error=1.5, cross_talk=0.0, initial=0.0, lead=0.4, clean_share=0.45,
                     class_share=0.5, active_share=0.5)
    assert EarlyStoppingBound(stage, 10, 1e-6, 0.5, 0.0, 0.0).fresh_exponent == 0.0
    assert ideal_bound(0.5, 0.3).reused_exponent(1.0) == 0.0
