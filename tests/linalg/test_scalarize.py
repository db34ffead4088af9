"""A scalarized function is the same function; and it saves what the module promises to save."""

import collections

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import linalg
from pods_jax.linalg.scalarize import rules, scalarized, scalarized_if_small, scan_by_scalars
from pods_jax.thresholds import MAX_SCALARIZED_SIZE
from tests.tiers import slow_but

X = np.array([0.3, -1.2, 0.7])
M = np.array([[2.0, 0.4, -0.3], [0.1, 1.5, 0.2], [0.0, -0.6, 3.0]])
BATCHED = np.arange(24.0).reshape(2, 3, 4) / 7

FUNCTIONS = {
    "arithmetic": lambda x: (x + 1) * x - x / (2 + x**2) + x**3 - jnp.square(x) * -1.0,
    "elementary": lambda x: jnp.exp(x) + jnp.tanh(x) * jnp.sin(x) + jnp.sqrt(jnp.abs(x)) + jnp.arctan2(x, 1 + x**2),
    "choices": lambda x: jnp.where((x > 0) & ~(x > 0.5), x, jnp.clip(x, -1.0, 0.5)) + jnp.maximum(x, 0.1),
    "reductions": lambda x: jnp.stack(
        [jnp.sum(x), jnp.max(x), jnp.min(x), jnp.any(x > 0) * 1.0, jnp.all(x > 0) * 1.0]
    ),
    "matrices": lambda x: M @ x + x @ M + jnp.einsum("ij,j,k->ik", M, x, x)[0] + jnp.trace(M) * x,
    "batched matrices": lambda x: jnp.einsum("bij,bkj->bik", x[0] * BATCHED, BATCHED) + x[1],
    "moves": lambda x: jnp.pad(jnp.concatenate([x[None], x[None, ::1]]).T, ((1, 2), (0, 1)), constant_values=2.0)[
        1:4
    ],
    "pads": lambda x: [
        jax.lax.pad(x, 2.0, [config]) for config in ((1, 2, 0), (0, 1, 2), (-1, 2, 1), (2, -1, 0), (-1, -1, 1))
    ],
    "stacks": lambda x: jnp.stack([x, 2 * x], axis=1).reshape(2, 3).transpose()[jnp.newaxis, 1:],
    "splits": lambda x: jnp.split(jnp.repeat(x, 2), [1, 3])[2] * jnp.arange(3),
    "constants": lambda x: jnp.eye(3) @ x + jnp.zeros(3) * x + jnp.diag(x) @ jnp.ones(3) - jnp.tri(3) @ x,
    "whole numbers": lambda x: jnp.cumsum(jnp.arange(3) * 2)[::-1] * x.astype(jnp.int32),
    "without a rule": lambda x: jnp.sort(x) + jnp.cumsum(x) + x[jnp.argmax(x)] + jnp.linalg.det(M + jnp.diag(x)),
    "inside jit": lambda x: jax.jit(lambda y: y @ x)(2 * x) * jax.nn.relu(x) + jax.nn.softplus(x),
    "nothing": lambda x: (x, jnp.zeros((0, 3)), 3.0),
    "solve": lambda x: linalg.solve(M + jnp.diag(x), x),
    "inverse": lambda x: linalg.inverse(M + jnp.diag(x)),
    "derivative": lambda x: jax.jacfwd(lambda y: linalg.solve(M, jnp.sin(y)))(x) + jax.hessian(lambda y: y @ y**3)(x),
}


def newton_root(x):
    """The cube root of |x| + 1, by a loop whose condition and body close over arrays."""
    target = jnp.abs(x) + 1

    def advance(carry):
        root, count = carry
        return root - (root**3 - target) / (3 * root**2), count + 1

    return jax.lax.while_loop(
        lambda carry: (jnp.max(jnp.abs(carry[0] ** 3 - target)) > 1e-12) & (carry[1] < 50),
        advance,
        (jnp.ones(3, x.dtype), 0),
    )


def assert_same(function, *args, rtol=1e-13):
    expected, found = function(*args), scalarized(function)(*args)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (jnp.shape(one), jnp.result_type(one)) == (jnp.shape(other), jnp.result_type(other))
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", slow_but(FUNCTIONS, "arithmetic", "choices", "matrices", "inverse"))
def test_the_unrolled_function_is_the_same_function(name):
    assert_same(FUNCTIONS[name], jnp.asarray(X))


def test_loops_stay_loops():
    assert_same(newton_root, jnp.asarray(X))
    np.testing.assert_allclose(scalarized(newton_root)(jnp.asarray(X))[0], (np.abs(X) + 1) ** (1 / 3), rtol=1e-12)
    loops = [each for each in jax.make_jaxpr(scalarized(newton_root))(X).jaxpr.eqns if each.primitive.name == "while"]
    assert len(loops) == 1
    assert all(variable.aval.shape == () for variable in loops[0].outvars), "the carry is scalars"


def test_it_takes_and_returns_pytrees():
    def function(tree, scale):
        return {"sum": tree["x"] + tree["y"], "parts": (scale * tree["x"], [scale])}

    assert_same(function, {"x": jnp.asarray(X), "y": jnp.asarray(2 * X)}, jnp.asarray(3.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_stay(dtype):
    found = scalarized(lambda x: (x * 2.0 + np.asarray(1, dtype), x > 0, jnp.arange(2)))(jnp.asarray(X, dtype))
    assert [each.dtype for each in found] == [dtype, np.dtype(bool), jnp.arange(2).dtype]


@pytest.mark.parametrize(
    "transform",
    slow_but([jax.jit, jax.jacfwd, jax.jacrev, jax.hessian], jax.jit, jax.jacfwd),
    ids=lambda each: each.__name__,
)
def test_it_can_be_transformed(transform):
    def function(x):
        return linalg.solve(M + jnp.diag(x**2), jnp.exp(x))

    np.testing.assert_allclose(transform(scalarized(function))(X), transform(function)(X), rtol=1e-11, atol=1e-12)


def test_a_batch_of_loops():
    batch = jnp.asarray(np.random.default_rng(0).normal(size=(20, 3)))
    np.testing.assert_allclose(
        jax.vmap(scalarized(newton_root))(batch)[0], (jnp.abs(batch) + 1) ** (1 / 3), rtol=1e-12
    )


def test_a_number_is_computed_while_tracing_as_it_is_at_run_time():
    """For each primitive that is folded, with all operands known."""
    for name in sorted(rules.NUMPY):
        logical = name in ("and", "or", "not")
        values = (True, False) if logical else (0.7, -1.3)
        primitive = getattr(jax.lax, f"{name.removesuffix('_any')}_p")
        operands = [jnp.asarray(value) for value in (values[:1] if name in ("neg", "not") else values)]

        def known(_, primitive=primitive, operands=operands):
            return primitive.bind(*(jnp.asarray(np.asarray(operand)) for operand in operands))

        assert not operations(known, np.zeros(0)), name
        np.testing.assert_allclose(scalarized(known)(np.zeros(0)), primitive.bind(*operands), rtol=1e-15)


def operations(function, *args):
    """How often each primitive stands in the scalarized function."""
    return collections.Counter(each.primitive.name for each in jax.make_jaxpr(scalarized(function))(*args).jaxpr.eqns)


def arrow(size):
    """A pattern that elimination fills completely."""
    pattern = np.eye(size, dtype=bool)
    pattern[0] = pattern[:, 0] = True
    return pattern


def chain(size, width=2):
    """A pattern that elimination does not fill at all."""
    index = np.arange(size)
    return np.abs(index[:, None] - index) < width


@pytest.mark.slow
@pytest.mark.parametrize("make_pattern", [arrow, chain])
def test_structural_zeros_change_nothing(make_pattern):
    generator = np.random.default_rng(0)
    pattern = make_pattern(8)
    matrix = jnp.asarray(generator.uniform(-1, 1, (8, 8)) + 8 * np.eye(8))
    assert_same(
        lambda matrix, side: linalg.solve(matrix * pattern, side), matrix, jnp.asarray(generator.normal(size=8))
    )


@pytest.mark.slow
def test_structural_zeros_save_work():
    def count(pattern):
        found = operations(lambda matrix, side: linalg.solve(matrix * pattern, side), np.eye(12), np.ones(12))
        return found["mul"] + found["sub"] + found["div"]

    assert count(chain(12)) < count(np.ones((12, 12), dtype=bool)) / 5


def test_a_product_with_an_incidence_matrix_is_a_difference():
    incidence = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])
    found = operations(lambda x: incidence @ x, X)
    assert found["mul"] == 0
    assert found["add"] + found["sub"] <= 2


def test_equal_expressions_are_computed_once():
    found = operations(lambda x: (jnp.exp(x[0]) + jnp.exp(x[0])) * (jnp.exp(x[0]) + x[1]) - (x[1] + jnp.exp(x[0])), X)
    assert (found["exp"], found["add"]) == (1, 2)


def test_long_sums_do_not_exhaust_the_stack():
    assert scalarized(jnp.sum)(jnp.ones(3000)) == 3000


def test_only_what_is_small_is_unrolled():
    assert scalarized_if_small(newton_root, MAX_SCALARIZED_SIZE + 1) is newton_root
    assert scalarized_if_small(newton_root, MAX_SCALARIZED_SIZE) is not newton_root


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_by_scalars_is_a_scan(reverse):
    def step(carry, inputs):
        matrix, vector = inputs["matrix"], inputs["vector"]
        carry = {"x": jnp.tanh(matrix @ carry["x"] + vector), "count": carry["count"] + 1}
        return carry, (jnp.outer(carry["x"], vector), jnp.sum(vector))

    generator = np.random.default_rng(0)
    inputs = {"matrix": generator.normal(size=(4, 6, 2, 2)), "vector": generator.normal(size=(4, 6, 2))}
    start = {"x": jnp.ones((4, 2)), "count": jnp.zeros((4,), jnp.int32)}
    found, expected = (
        jax.jit(jax.vmap(lambda carry, inputs, scan=scan: scan(step, carry, inputs, reverse=reverse)))(start, inputs)
        for scan in (scan_by_scalars, jax.lax.scan)
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)
    chex.assert_trees_all_close(found, expected, rtol=1e-12)
