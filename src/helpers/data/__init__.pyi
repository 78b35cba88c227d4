from .array_files import ArraySpec as ArraySpec
from .cifar10n import (
    CIFAR10N_VARIABLE as CIFAR10N_VARIABLE,
    human_labels as human_labels,
    load_cifar10n as load_cifar10n,
)
from .datasets import (
    load_cifar10 as load_cifar10,
    load_cifar100 as load_cifar100,
    load_digit_classes as load_digit_classes,
    load_image_classes as load_image_classes,
    load_mnist as load_mnist,
    load_npz as load_npz,
)
from .image_folders import (
    Listed as Listed,
    load_clothing1m as load_clothing1m,
    load_folder as load_folder,
    load_webvision as load_webvision,
)
from .images import (
    CIFAR10_VARIABLE as CIFAR10_VARIABLE,
    LabelledImages as LabelledImages,
    as_two_classes as as_two_classes,
    class_index as class_index,
    load_cifar10_pair as load_cifar10_pair,
    load_digits as load_digits,
    load_images as load_images,
)
from .label_noise import (
    add_label_noise as add_label_noise,
    empirical_transition as empirical_transition,
    flip_labels as flip_labels,
)
from .noise_kinds import (
    AsymmetricCIFAR10 as AsymmetricCIFAR10,
    AsymmetricCIFAR100 as AsymmetricCIFAR100,
    ClassConditional as ClassConditional,
    HumanLabels as HumanLabels,
    InstanceDependent as InstanceDependent,
    MatrixNoise as MatrixNoise,
    PairFlip as PairFlip,
    RatedNoise as RatedNoise,
    Symmetric as Symmetric,
    SymmetricRedraw as SymmetricRedraw,
    Transition as Transition,
)
from .raters import (
    KEEPS as KEEPS,
    aggregate as aggregate,
    ask as ask,
    class_means as class_means,
    competitors as competitors,
    joint_mistakes as joint_mistakes,
    loosened as loosened,
    mistake_bounds as mistake_bounds,
    mistakes as mistakes,
    mixed_law as mixed_law,
    rater_law as rater_law,
    readable as readable,
    reading_share as reading_share,
    shuffled_mistakes as shuffled_mistakes,
    transition_interval as transition_interval,
    with_ratings as with_ratings,
    worst as worst,
    worst_label_law as worst_label_law,
)
from .signal_noise import Sample as Sample, SignalNoise as SignalNoise
from .subsets import hold_out as hold_out, keep_samples as keep_samples
from .torchvision_import import import_torchvision as import_torchvision
