from .cleaned_folder import check_target as check_target, write_cleaned_folder as write_cleaned_folder
from .cleaning import clean_labels as clean_labels
from .decisions import read_decisions as read_decisions
from .example import example_folder as example_folder
from .find import find_suspects as find_suspects
from .flip_rates import cautious_count as cautious_count, flip_rate_estimates as flip_rate_estimates
from .gallery import write_gallery as write_gallery
from .posterior import (
    LabelPool as LabelPool,
    fit_label_pool as fit_label_pool,
    label_posterior as label_posterior,
    pool_probabilities as pool_probabilities,
)
from .ranked_table import suspects as suspects
