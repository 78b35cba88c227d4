from .accuracy import observed_accuracies as observed_accuracies
from .attribution import (
    AttributionScore as AttributionScore,
    attribution_blocks as attribution_blocks,
    attribution_controls as attribution_controls,
    attribution_effective_share as attribution_effective_share,
    attribution_maps as attribution_maps,
    attribution_net_share as attribution_net_share,
    attribution_share_inside as attribution_share_inside,
    attribution_turn as attribution_turn,
    blend_top_pixels as blend_top_pixels,
    coalition_worths as coalition_worths,
    import_captum as import_captum,
    rank_pixels as rank_pixels,
    shapley_values as shapley_values,
    top_pixels as top_pixels,
)
from .coefficients import (
    LargestCoefficients as LargestCoefficients,
    coefficient_overtaking as coefficient_overtaking,
    largest_coefficients as largest_coefficients,
)
from .comparison import (
    BLIND as BLIND,
    CE_LAST as CE_LAST,
    CE_STOPPED as CE_STOPPED,
    IN_SAMPLE as IN_SAMPLE,
    NEVER as NEVER,
    OUT_OF_SAMPLE as OUT_OF_SAMPLE,
    STOPPED as STOPPED,
    TO_THE_END as TO_THE_END,
    Stop as Stop,
    StopComparison as StopComparison,
    blind as blind,
    compare_losses as compare_losses,
    compare_retraining as compare_retraining,
    compare_scores as compare_scores,
    compare_steps as compare_steps,
    compare_stops as compare_stops,
    never as never,
    paired_difference as paired_difference,
    paired_difference_over_images as paired_difference_over_images,
    stops_to_compare as stops_to_compare,
    verdict_table as verdict_table,
    with_intervals as with_intervals,
)
from .crossings import crossing_boundary as crossing_boundary, half_crossing as half_crossing
from .distances import (
    LossDistances as LossDistances,
    binned_tv_distance as binned_tv_distance,
    loss_distances_over_time as loss_distances_over_time,
)
from .scores import (
    adjusted_confidence_scores as adjusted_confidence_scores,
    area_under_margin_scores as area_under_margin_scores,
    score_auc as score_auc,
    score_confident_joint as score_confident_joint,
    score_confident_learning as score_confident_learning,
    self_confidence_scores as self_confidence_scores,
)
from .selection import (
    LOG2 as LOG2,
    SelectionQuality as SelectionQuality,
    assess_selection as assess_selection,
    best_selection_quality as best_selection_quality,
    select_below_log2 as select_below_log2,
    select_by_mixture as select_by_mixture,
    select_small_loss as select_small_loss,
    selection_auc as selection_auc,
    selection_gap_and_spread as selection_gap_and_spread,
    selection_purity_gain as selection_purity_gain,
    selection_quality as selection_quality,
)
from .stopping import (
    stop_at_clearest_split as stop_at_clearest_split,
    stop_at_deepest_misfit as stop_at_deepest_misfit,
    stop_at_first_lull as stop_at_first_lull,
    stop_at_lowest as stop_at_lowest,
    stop_at_plateau as stop_at_plateau,
    stop_at_widest_losses as stop_at_widest_losses,
    stop_by_clean_validation as stop_by_clean_validation,
    stop_by_noisy_validation as stop_by_noisy_validation,
    stopping_regret as stopping_regret,
    stopping_validation_size as stopping_validation_size,
    values_at_stop as values_at_stop,
)
from .times import (
    crest_time_index as crest_time_index,
    first_passage_time as first_passage_time,
    rescaled_times as rescaled_times,
    turning_time_index as turning_time_index,
    turning_times as turning_times,
)
