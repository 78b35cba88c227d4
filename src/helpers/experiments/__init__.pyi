from .comparison_tables import compare_recorded_stops as compare_recorded_stops
from .comparisons import comparison_cell as comparison_cell
from .decisions import decision_table as decision_table
from .deep_networks import (
    NETWORKS as NETWORKS,
    deep_cell as deep_cell,
    deep_class_mean as deep_class_mean,
    deep_images as deep_images,
    deep_measured_three_ways as deep_measured_three_ways,
    deep_run as deep_run,
    deep_runs as deep_runs,
    deep_step_cell as deep_step_cell,
    deep_ten_way as deep_ten_way,
)
from .elr import (
    INGREDIENTS as INGREDIENTS,
    LOSSES as LOSSES,
    METHODS as METHODS,
    PUBLISHED as PUBLISHED,
    PUBLISHED_PARTS as PUBLISHED_PARTS,
    chosen_steps as chosen_steps,
    elr_cell as elr_cell,
    elr_run_label_shares as elr_run_label_shares,
    elr_runs as elr_runs,
    elr_scale as elr_scale,
)
from .human_noise import (
    cifar10n_cell as cifar10n_cell,
    human_count_cell as human_count_cell,
    human_loss_cell as human_loss_cell,
    human_noise_run as human_noise_run,
    human_noise_summary as human_noise_summary,
    human_step_cell as human_step_cell,
)
from .initial_scale import initial_scale_runs as initial_scale_runs
from .loss_distributions import (
    MNIST_VARIABLE as MNIST_VARIABLE,
    loss_cell as loss_cell,
    loss_runs as loss_runs,
    step_cell as step_cell,
)
from .own_data import own_data_cell as own_data_cell, own_human_cell as own_human_cell
from .own_tables import (
    compare_cleaning as compare_cleaning,
    compare_flip_rates as compare_flip_rates,
    compare_rankings as compare_rankings,
)
from .phase_diagram import (
    PLANES as PLANES,
    S_END as S_END,
    phase_cell as phase_cell,
    phase_clean_patch_border as phase_clean_patch_border,
    phase_signal_to_noise as phase_signal_to_noise,
)
from .real_images import (
    image_mistakes as image_mistakes,
    image_run as image_run,
    image_run_and_mistakes as image_run_and_mistakes,
    image_runs as image_runs,
)
from .recordings import RECORDINGS as RECORDINGS
from .scale import (
    ScaleRecording as ScaleRecording,
    ScaleTable as ScaleTable,
    scale_table as scale_table,
)
from .settings import SETTINGS as SETTINGS, Setting as Setting, setting as setting
from .synthetic import (
    synthetic_lemmas_over_d as synthetic_lemmas_over_d,
    synthetic_problem as synthetic_problem,
    synthetic_run as synthetic_run,
)
from .where_it_looks import (
    GROUPS as GROUPS,
    ExplainedRun as ExplainedRun,
    attribution_cell as attribution_cell,
    explained_group_means as explained_group_means,
    explained_run as explained_run,
    survival as survival,
    transplants as transplants,
)
