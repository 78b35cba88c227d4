from .active_shares import (
    ShareLaw as ShareLaw,
    initial_scale as initial_scale,
    share_law as share_law,
)
from .assumptions import conditions as conditions, largest_init_std as largest_init_std
from .concentration import (
    LEMMAS as LEMMAS,
    CrossTalk as CrossTalk,
    Deviations as Deviations,
    cross_talk_bounds as cross_talk_bounds,
    good_event as good_event,
    lemma_bounds as lemma_bounds,
    norm_bound as norm_bound,
    signal_noise_bound as signal_noise_bound,
    simulate as simulate,
    violation_frequency as violation_frequency,
)
from .early_stopping import (
    EarlyBound as EarlyBound,
    early_bound as early_bound,
    fresh_error_exponents as fresh_error_exponents,
    limit_exponent as limit_exponent,
    one_sided_bound as one_sided_bound,
)
from .elr_limit import (
    Certificate as Certificate,
    ElrLaw as ElrLaw,
    certificate as certificate,
    dividing_margin as dividing_margin,
    elr_euler as elr_euler,
    elr_law as elr_law,
    last_noisy_margin as last_noisy_margin,
    pull as pull,
    settled_pull as settled_pull,
    strength_needed as strength_needed,
)
from .late_ranking import late_auc as late_auc, late_losses as late_losses
from .limit import (
    LimitLaw as LimitLaw,
    Margins as Margins,
    class_laws as class_laws,
    euler_law as euler_law,
    limit_law as limit_law,
    sample_margins as sample_margins,
)
from .limit_distance import (
    Course as Course,
    LimitErrors as LimitErrors,
    descend_products as descend_products,
    euler_error as euler_error,
    limit_errors as limit_errors,
)
from .linear_limits import (
    cover_probability as cover_probability,
    first_alignment as first_alignment,
    law_of_run as law_of_run,
    separability_threshold as separability_threshold,
)
from .linear_theory import (
    EarlyLearning as EarlyLearning,
    MixtureConstants as MixtureConstants,
    early_learning as early_learning,
    likely_constants as likely_constants,
    limit_constants as limit_constants,
    measured_constants as measured_constants,
)
from .loss_decay import Convergence as Convergence, convergence as convergence
from .multiclass_laws import (
    ClassesLaw as ClassesLaw,
    NextClassLaw as NextClassLaw,
    classes_law as classes_law,
    loss_levels as loss_levels,
    next_class_law as next_class_law,
    next_class_lead as next_class_lead,
)
from .no_noise import NoNoise as NoNoise, no_noise_bounds as no_noise_bounds
from .orthogonal_draws import (
    ideal_products as ideal_products,
    orthogonal_sample as orthogonal_sample,
    orthogonalised as orthogonalised,
)
from .paper_lemmas import lemma_deviations as lemma_deviations, margins_of_coefficients as margins_of_coefficients
from .signal_lead import Barrier as Barrier, signal_barrier as signal_barrier
from .stage_one import StageOne as StageOne, stage_one_bounds as stage_one_bounds
from .stage_two import (
    final_weight_gram as final_weight_gram,
    fresh_error_bound as fresh_error_bound,
    gaussian_fresh_error as gaussian_fresh_error,
    noise_responses as noise_responses,
    products_of as products_of,
    reused_error_bound as reused_error_bound,
    reused_parts as reused_parts,
    signal_responses as signal_responses,
)
from .variant_laws import (
    PairLaw as PairLaw,
    label_noise_drift as label_noise_drift,
    leaky_law as leaky_law,
    leaky_threshold as leaky_threshold,
    pair_law as pair_law,
    squared_passage as squared_passage,
    squared_threshold as squared_threshold,
)
