from .descent import descend as descend
from .elr_term import elr_term_slope as elr_term_slope, elr_term_targets as elr_term_targets
from .engine_state import Engine as Engine, EngineDiverged as EngineDiverged, EngineState as EngineState
from .explicit import ExplicitEngine as ExplicitEngine
from .gram import (
    InnerProducts as InnerProducts,
    bartlett_gram_factor as bartlett_gram_factor,
    final_weight_gram as final_weight_gram,
    inner_products as inner_products,
    inner_products_of_record as inner_products_of_record,
)
from .linear_mixture import (
    MixtureCourse as MixtureCourse,
    MixtureDraw as MixtureDraw,
    descend_mixture as descend_mixture,
    draw_mixture as draw_mixture,
    mixture_problem as mixture_problem,
    separable_mixture as separable_mixture,
)
from .network_decomposition import (
    Decomposition as Decomposition,
    TwoLayerCNN as TwoLayerCNN,
    decompose as decompose,
    decomposition_steps as decomposition_steps,
)
from .observables import ObservableDraws as ObservableDraws, observable_readings as observable_readings
from .products_descent import ProductsCourse as ProductsCourse, descend_products as descend_products
from .reduced import (
    CompiledReducedEngine as CompiledReducedEngine,
    ReducedEngine as ReducedEngine,
    TorchReducedEngine as TorchReducedEngine,
)
from .scenes import (
    FLIPS as FLIPS,
    Scene as Scene,
    contrary_scene as contrary_scene,
    noisy_scene as noisy_scene,
    patch_dependent_scene as patch_dependent_scene,
    recurring_patch_scene as recurring_patch_scene,
    separate_positions_scene as separate_positions_scene,
    several_class_scene as several_class_scene,
    two_class_scene as two_class_scene,
)
from .variants import Variant as Variant, VariantEngine as VariantEngine, descend_variant as descend_variant
