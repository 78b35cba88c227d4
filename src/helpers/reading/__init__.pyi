from .attribution import (
    Score as Score,
    attribution_maps as attribution_maps,
    blend as blend,
    blocks as blocks,
    coalition_worths as coalition_worths,
    effective_share as effective_share,
    import_captum as import_captum,
    matched_controls as matched_controls,
    net_share as net_share,
    randomised as randomised,
    ranked as ranked,
    shapley_values as shapley_values,
    share_inside as share_inside,
    top_pixels as top_pixels,
    turned as turned,
)
from .coefficients import (
    Largest as Largest,
    accuracies as accuracies,
    largest_coefficients as largest_coefficients,
    overtaking as overtaking,
)
from .crossings import boundary as boundary, half_crossing as half_crossing
from .distances import (
    Distances as Distances,
    binned_tv as binned_tv,
    distances_over_time as distances_over_time,
    purity_gain as purity_gain,
)
from .selection import (
    LOG2 as LOG2,
    Quality as Quality,
    assess as assess,
    best_quality as best_quality,
    gap_and_spread as gap_and_spread,
    log2_threshold as log2_threshold,
    loss_mixture as loss_mixture,
    ranking_auc as ranking_auc,
    selection_quality as selection_quality,
    small_loss as small_loss,
)
from .stopping import (
    all_stops as all_stops,
    at as at,
    clean_validation as clean_validation,
    clearest_split as clearest_split,
    deepest_misfit as deepest_misfit,
    first_lull as first_lull,
    lowest as lowest,
    noisy_validation as noisy_validation,
    plateau as plateau,
    regret as regret,
    regret_table as regret_table,
    validation_size as validation_size,
    widest_losses as widest_losses,
)
from .times import (
    crest as crest,
    first_passage as first_passage,
    rescaled_times as rescaled_times,
    turning_index as turning_index,
    turning_times as turning_times,
)
