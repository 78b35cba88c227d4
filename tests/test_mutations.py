"""The tests can fail: a copy of the package with one error in it turns them red, the copy without stays green.

Each copy is tested by a pytest of its own, in a process that imports `helpers` from the copy and nowhere else.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import execution
import pytest

import helpers

ROOT = execution.ROOT
OK, TESTS_FAILED, OTHER_PACKAGE = 0, 1, 97

# Imports once what all copies import, then forks for each: ten times faster than starting Python anew.
RUN = f"""
import json, os, sys
import hypothesis, numba, pandas, pytest, scipy.integrate, scipy.stats, torch

for copy, tests in json.loads(sys.argv[1]):
    if os.fork() == 0:
        os.dup2(os.open(copy + "/output", os.O_WRONLY | os.O_CREAT), 1)
        sys.path.insert(0, copy)
        import helpers
        right = os.path.dirname(os.path.dirname(helpers.__file__)) == copy
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]) if right else {OTHER_PACKAGE}
        sys.stdout.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""

RULES = "engine/test_reduced.py::test_gamma_and_rho_follow_the_update_rules_over_clean_and_noisy_samples[compiled]"
SIGNS = ("engine/test_reduced.py::"
         "test_rho_grows_from_zero_where_j_is_the_observed_label_and_falls_where_it_is_not[compiled]")
LOOP = "engine/test_explicit.py::test_both_engines_are_gradient_descent_from_the_papers_network[reduced]"
GRADIENT = "engine/test_network_decomposition.py::test_coefficient_steps_are_minus_lr_times_the_autograd_gradient"
STEP_RULES = "engine/test_network_decomposition.py::test_coefficient_steps_are_the_update_rules_of_gamma_and_rho"
FORWARD = "engine/test_network_decomposition.py::test_forward_is_the_formula_of_the_paper"
UNIQUE = "engine/test_network_decomposition.py::test_decompose_undoes_compose_so_that_the_decomposition_is_unique"
FLIPS = "data/test_signal_noise.py::test_labels_are_uniform_and_flip_at_the_rate_of_their_class"
STREAMS = "hall/test_streams.py::test_sample_and_initial_weights_of_one_seed_share_no_normals"
BARTLETT = "engine/test_gram.py::test_bartlett_factor_has_the_shape_and_mean_of_its_wishart_law"
REUSED = "engine/test_observables.py::test_reused_error_at_zeta_0_is_the_enumeration_of_patches_and_labels"

# name: (module, what stands there once, what is put in its place, the tests of which at least one must notice)
MUTATIONS = {
    "sign of the rho update": (
        "engine/reduced.py", "update[row, i] = sign * push[i]", "update[row, i] = -sign * push[i]", [SIGNS, RULES]),
    "sign of the signal update": (
        "engine/reduced.py", "update[row, 0] = sign * (", "update[row, 0] = -sign * (", [RULES, LOOP]),
    "true instead of observed labels": (
        "engine/reduced.py", "push[i] = rate * y_obs[i - 1]", "push[i] = rate * y[i - 1]", [SIGNS, RULES]),
    "sign of the rho update in tensors": (
        "engine/network_decomposition.py", "to_noise = push *", "to_noise = -push *", [STEP_RULES, GRADIENT]),
    "true instead of observed labels in tensors": (
        "engine/network_decomposition.py", "push = rate * y_obs *", "push = rate * y *", [STEP_RULES, GRADIENT]),
    "wrong sign of j": (
        "engine/network_decomposition.py", "return (plus - minus)", "return (minus - plus)", [FORWARD]),
    "decomposition without normalisation": (
        "engine/network_decomposition.py", "coefficients = a * self.squares.sqrt()", "coefficients = a", [UNIQUE]),
    "no label flip": (
        "data/signal_noise.py", "return np.where(flipped, -y, y)", "return y", [FLIPS]),
    "one stream for all draws": (
        "streams.py", "zlib.crc32(stream.encode())", "0", [STREAMS]),
    "degrees of freedom that do not fall": (
        "engine/gram.py", "degrees - np.arange(rank, dtype=float)", "degrees + 0.0 * np.arange(rank)", [BARTLETT]),
    "reused patches of one label only": (
        "engine/observables.py", "_wrong(-(signal[:, 1:] + noise))", "_wrong(signal[:, :1] + noise)", [REUSED]),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Exit code and output of pytest for each mutation; the name None stands for the copy as it is."""
    source, jobs = Path(helpers.__file__).parent, {}
    for name in (None, *MUTATIONS):
        folder = tmp_path_factory.mktemp("copy")
        shutil.copytree(source, folder / "helpers")
        if name is None:
            tests = sorted({test for *_, tests in MUTATIONS.values() for test in tests})
        else:
            module, there, instead, tests = MUTATIONS[name]
            text = (folder / "helpers" / module).read_text()
            assert text.count(there) == 1, name
            (folder / "helpers" / module).write_text(text.replace(there, instead))
        jobs[name] = (os.path.realpath(folder), [str(ROOT / "tests" / test) for test in tests])
    # The time loop as Python: each copy would compile it anew.
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HYPOTHESIS_PROFILE": "red or green",
                                "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", RUN, json.dumps(list(jobs.values()))], cwd=ROOT, env=environment,
                          check=True, capture_output=True, text=True)
    codes = map(int, done.stdout.split())
    return {name: (code, Path(folder, "output").read_text()) for (name, (folder, _)), code in zip(jobs.items(), codes)}


def test_the_copy_as_it_is_passes_every_test_that_a_mutation_must_fail(outcomes):
    code, output = outcomes[None]
    assert code == OK, output


@pytest.mark.parametrize("name", MUTATIONS)
def test_an_error_in_the_package_turns_the_tests_red(outcomes, name):
    code, output = outcomes[name]
    # Anything but 1 (an import error, no tests, the wrong package) proves nothing.
    assert code == TESTS_FAILED, f"exit code {code}\n{output}"
