from .descent import descend as descend
from .elr_term import moved_targets as moved_targets, term_slope as term_slope
from .explicit import ExplicitEngine as ExplicitEngine
from .gram import InnerProducts as InnerProducts, bartlett as bartlett, inner_products as inner_products
from .linear_mixture import (
    MixtureCourse as MixtureCourse,
    MixtureDraw as MixtureDraw,
    descend_mixture as descend_mixture,
    draw_mixture as draw_mixture,
    mixture as mixture,
    separable as separable,
)
from .network import (
    Decomposition as Decomposition,
    TwoLayerCNN as TwoLayerCNN,
    coefficient_steps as coefficient_steps,
    decompose as decompose,
)
from .observables import TestDraws as TestDraws, readings as readings
from .reduced import CompiledEngine as CompiledEngine, ReducedEngine as ReducedEngine, TorchEngine as TorchEngine
from .scenes import (
    FLIPS as FLIPS,
    Scene as Scene,
    contrary_samples as contrary_samples,
    noisy_scene as noisy_scene,
    patch_dependent_flips as patch_dependent_flips,
    recurring_patch as recurring_patch,
    separate_positions as separate_positions,
    several_classes as several_classes,
    two_classes as two_classes,
)
from .state import Diverged as Diverged, Engine as Engine, State as State
from .variants import Method as Method, SceneEngine as SceneEngine, descend_scenes as descend_scenes
