from .batches import ImageBatches as ImageBatches, standardise as standardise
from .checkpoints import CheckpointError as CheckpointError
from .cross_validation import out_of_fold as out_of_fold
from .elr_plus import ELRPlus as ELRPlus
from .logs import CSVLog as CSVLog, TensorBoardLog as TensorBoardLog
from .loop import fit as fit, fit_side_by_side as fit_side_by_side
from .losses import CrossEntropy as CrossEntropy, ELRLoss as ELRLoss, FreshFlipsLoss as FreshFlipsLoss, Loss as Loss
from .models import (
    Dropout as Dropout,
    ModelPair as ModelPair,
    PreActResNet as PreActResNet,
    SmallCNN as SmallCNN,
    SmallVGG as SmallVGG,
    randomise_model as randomise_model,
    resnet as resnet,
    vgg as vgg,
)
from .one_run import TrainingRun as TrainingRun
from .predictions import (
    class_probabilities as class_probabilities,
    predicted_classes as predicted_classes,
    predicted_outputs as predicted_outputs,
)
from .recipe import Recipe as Recipe
