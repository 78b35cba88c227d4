from .batches import DeviceImages as DeviceImages
from .checkpoints import CheckpointError as CheckpointError
from .cross_validation import out_of_fold as out_of_fold
from .elr_plus import ELRPlus as ELRPlus
from .loop import (
    Recipe as Recipe,
    TrainingRun as TrainingRun,
    fit as fit,
    side_by_side as side_by_side,
)
from .losses import ELR as ELR, CrossEntropy as CrossEntropy, Loss as Loss
from .models import (
    Dropout as Dropout,
    Pair as Pair,
    PreActResNet as PreActResNet,
    SmallCNN as SmallCNN,
    SmallVGG as SmallVGG,
    resnet as resnet,
    vgg as vgg,
)
from .predictions import outputs as outputs, predicted as predicted, standardise as standardise
