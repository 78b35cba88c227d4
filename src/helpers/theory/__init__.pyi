from .active_shares import (
    ActiveShareLaw as ActiveShareLaw,
    active_share_law as active_share_law,
    active_share_scale as active_share_scale,
)
from .assumptions import conditions as conditions, largest_init_std as largest_init_std
from .concentration import (
    LEMMAS as LEMMAS,
    ConcentrationDeviations as ConcentrationDeviations,
    concentration_bounds as concentration_bounds,
    concentration_violations as concentration_violations,
    good_event as good_event,
    norm_concentration as norm_concentration,
    signal_noise_concentration as signal_noise_concentration,
    simulate_concentration as simulate_concentration,
)
from .cross_talk import CrossTalk as CrossTalk, cross_talk_bounds as cross_talk_bounds
from .early_stopping import (
    EarlyStoppingBound as EarlyStoppingBound,
    early_stopping_bound as early_stopping_bound,
    early_stopping_error_bound as early_stopping_error_bound,
    early_stopping_exponents as early_stopping_exponents,
    early_stopping_limit_exponent as early_stopping_limit_exponent,
)
from .elr_theory import (
    ElrCertificate as ElrCertificate,
    ElrLaw as ElrLaw,
    elr_certificate as elr_certificate,
    elr_dividing_margin as elr_dividing_margin,
    elr_euler as elr_euler,
    elr_last_noisy_margin as elr_last_noisy_margin,
    elr_law as elr_law,
    elr_pull as elr_pull,
    elr_strength_needed as elr_strength_needed,
    settled_elr_pull as settled_elr_pull,
)
from .error_bounds import (
    fresh_error_bound as fresh_error_bound,
    gaussian_fresh_error as gaussian_fresh_error,
    reused_error_bound as reused_error_bound,
    reused_error_parts as reused_error_parts,
)
from .late_ranking import late_ranking_auc as late_ranking_auc, late_ranking_losses as late_ranking_losses
from .limit import (
    LimitLaw as LimitLaw,
    LimitMargins as LimitMargins,
    limit_law as limit_law,
    limit_law_euler as limit_law_euler,
    limit_laws_of_both_classes as limit_laws_of_both_classes,
    limit_margins_of_samples as limit_margins_of_samples,
)
from .limit_distance import (
    DistanceFromLimit as DistanceFromLimit,
    distance_from_limit as distance_from_limit,
    euler_distance_from_limit as euler_distance_from_limit,
)
from .linear_theory import (
    LinearConstants as LinearConstants,
    LinearEarlyLearning as LinearEarlyLearning,
    likely_linear_constants as likely_linear_constants,
    linear_cover_probability as linear_cover_probability,
    linear_early_learning as linear_early_learning,
    linear_first_alignment as linear_first_alignment,
    linear_law_of_run as linear_law_of_run,
    linear_limit_constants as linear_limit_constants,
    linear_separability_threshold as linear_separability_threshold,
    measured_linear_constants as measured_linear_constants,
)
from .loss_decay import LossDecay as LossDecay, loss_decay_constants as loss_decay_constants
from .multiclass_laws import (
    MulticlassLaw as MulticlassLaw,
    MulticlassPairLaw as MulticlassPairLaw,
    multiclass_law as multiclass_law,
    multiclass_loss_levels as multiclass_loss_levels,
    multiclass_pair_law as multiclass_pair_law,
    multiclass_pair_lead as multiclass_pair_lead,
)
from .no_noise import NoNoise as NoNoise, no_noise_bounds as no_noise_bounds
from .orthogonal_draws import (
    orthogonal_products as orthogonal_products,
    orthogonal_sample as orthogonal_sample,
    orthogonalise_products as orthogonalise_products,
)
from .paper_lemmas import paper_lemma_deviations as paper_lemma_deviations, paper_lemma_margins as paper_lemma_margins
from .responses import noise_responses as noise_responses, signal_responses as signal_responses
from .signal_lead import SignalLead as SignalLead, signal_lead_barrier as signal_lead_barrier
from .stage_one import StageOne as StageOne, stage_one_bounds as stage_one_bounds
from .variant_laws import (
    PatchVariantLaw as PatchVariantLaw,
    leaky_relu_law as leaky_relu_law,
    leaky_relu_threshold as leaky_relu_threshold,
    patch_variant_law as patch_variant_law,
    squared_relu_drift as squared_relu_drift,
    squared_relu_passage as squared_relu_passage,
    squared_relu_threshold as squared_relu_threshold,
)
