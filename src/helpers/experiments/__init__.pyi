from .comparisons import comparison_cell as comparison_cell
from .deep_networks import (
    NETWORKS as NETWORKS,
    deep_cell as deep_cell,
    deep_images as deep_images,
    deep_run as deep_run,
    deep_runs as deep_runs,
    mean_of_class as mean_of_class,
    measured_in_three_ways as measured_in_three_ways,
    ten_way as ten_way,
)
from .elr import (
    INGREDIENTS as INGREDIENTS,
    LOSSES as LOSSES,
    METHODS as METHODS,
    PUBLISHED as PUBLISHED,
    PUBLISHED_PARTS as PUBLISHED_PARTS,
    chosen_steps as chosen_steps,
    elr_cell as elr_cell,
    elr_runs as elr_runs,
    elr_scale as elr_scale,
    label_shares as label_shares,
)
from .human_noise import cifar10n_cell as cifar10n_cell, noise_run as noise_run, summary as summary
from .initial_scale import initial_scale_runs as initial_scale_runs
from .loss_distributions import (
    MNIST_VARIABLE as MNIST_VARIABLE,
    loss_cell as loss_cell,
    loss_runs as loss_runs,
)
from .phase_diagram import (
    PLANES as PLANES,
    S_END as S_END,
    clean_patch_border as clean_patch_border,
    phase_cell as phase_cell,
    signal_to_noise_patch as signal_to_noise_patch,
)
from .real_images import (
    image_mistakes as image_mistakes,
    image_run as image_run,
    image_runs as image_runs,
    run_and_mistakes as run_and_mistakes,
)
from .settings import SETTINGS as SETTINGS, Setting as Setting, setting as setting
from .synthetic import lemmas_over_d as lemmas_over_d, paper_problem as paper_problem, paper_run as paper_run
from .where_it_looks import (
    GROUPS as GROUPS,
    Explained as Explained,
    attribution_cell as attribution_cell,
    explained_run as explained_run,
    group_means as group_means,
    survival as survival,
    transplants as transplants,
)
