from .array_files import ArrayFileSpec as ArrayFileSpec
from .cifar10n import (
    CIFAR10N_VARIABLE as CIFAR10N_VARIABLE,
    add_cifar10n_labels as add_cifar10n_labels,
    load_cifar10n as load_cifar10n,
)
from .datasets import (
    CIFAR10_VARIABLE as CIFAR10_VARIABLE,
    load_cifar10 as load_cifar10,
    load_cifar10_pair as load_cifar10_pair,
    load_cifar100 as load_cifar100,
    load_digit_classes as load_digit_classes,
    load_digits as load_digits,
    load_mnist as load_mnist,
    load_npz as load_npz,
    load_ten_class_dataset as load_ten_class_dataset,
    load_two_class_dataset as load_two_class_dataset,
)
from .feature_tables import load_csv as load_csv
from .image_folders import load_folder as load_folder
from .image_reading import FolderImages as FolderImages
from .images import (
    LabelledData as LabelledData,
    LabelledFeatures as LabelledFeatures,
    LabelledImages as LabelledImages,
    class_index as class_index,
    class_labels as class_labels,
    two_class_images as two_class_images,
)
from .label_noise import (
    add_label_noise as add_label_noise,
    flip_labels as flip_labels,
    label_noise_transition as label_noise_transition,
)
from .noise_kinds import (
    AsymmetricCIFAR10Noise as AsymmetricCIFAR10Noise,
    AsymmetricCIFAR100Noise as AsymmetricCIFAR100Noise,
    ClassConditionalNoise as ClassConditionalNoise,
    HumanLabelNoise as HumanLabelNoise,
    InstanceDependentNoise as InstanceDependentNoise,
    MatrixNoise as MatrixNoise,
    PairFlipNoise as PairFlipNoise,
    RatedNoise as RatedNoise,
    SymmetricNoise as SymmetricNoise,
    SymmetricRedrawNoise as SymmetricRedrawNoise,
    TransitionNoise as TransitionNoise,
)
from .own_arrays import labelled_arrays as labelled_arrays, labelled_dataset as labelled_dataset
from .published_folders import load_clothing1m as load_clothing1m, load_webvision as load_webvision
from .raters import (
    KEEPS as KEEPS,
    aggregate_ratings as aggregate_ratings,
    ask_raters as ask_raters,
    joint_rater_mistakes as joint_rater_mistakes,
    loosen_ratings as loosen_ratings,
    mixed_rater_law as mixed_rater_law,
    rater_class_means as rater_class_means,
    rater_competitors as rater_competitors,
    rater_law as rater_law,
    rater_mistake_bounds as rater_mistake_bounds,
    rater_mistakes as rater_mistakes,
    rater_reading_share as rater_reading_share,
    rater_transition_interval as rater_transition_interval,
    readable_by_raters as readable_by_raters,
    shuffled_rater_mistakes as shuffled_rater_mistakes,
    with_ratings as with_ratings,
    worst_rating_law as worst_rating_law,
    worst_ratings as worst_ratings,
)
from .signal_noise import Sample as Sample, SignalNoise as SignalNoise
from .subsets import hold_out as hold_out, keep_samples as keep_samples
from .torchvision_import import import_torchvision as import_torchvision
