"""Functions of observations as ONNX graphs, operation by operation, beside jax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from pods_jax.checks import InputError
from pods_jax.export import onnx_graph

SIZE = 24
KERNEL = jax.random.normal(jax.random.key(0), (3, 2, 2, 5))


def image(x):
    return x.reshape(1, 4, 3, 2)


FUNCTIONS = {
    "arithmetic": lambda x: (x + 2) * x - x / 3,
    "functions of one number": lambda x: jnp.exp(x) + jnp.log(jnp.abs(x)) + jnp.sin(x) * jnp.cos(x) + jnp.tanh(-x),
    "roots and powers": lambda x: (
        jnp.sqrt(x * x + 1) + lax.rsqrt(x * x + 1) + x**3 + jnp.abs(x) ** 0.7 + jnp.square(x)
    ),
    "logistic and softplus": lambda x: jax.nn.sigmoid(x) + jax.nn.softplus(x) + jnp.expm1(x) + jnp.log1p(x * x),
    "rounding": lambda x: jnp.floor(x) + jnp.ceil(2 * x) + jnp.sign(x),
    "cases": lambda x: jnp.where((x > 0.5) | (x <= -1), x, jnp.where((x != 0) & (x < 0), 1.0, -x)),
    "between limits": lambda x: jnp.clip(x, -0.5, 0.7) + jnp.maximum(x, 0.1) - jnp.minimum(x, x[0]),
    "softmax": lambda x: jax.nn.softmax(x.reshape(4, 6), axis=-1),
    "sums and largest": lambda x: jnp.concatenate([x.reshape(4, 6).sum(0), x.reshape(4, 6).max(1), x.min()[None]]),
    "turned": lambda x: jnp.moveaxis(x.reshape(2, 3, 4), 0, -1),
    "slices": lambda x: jnp.concatenate([x[3:9], x[::5], x[..., 2, None], jnp.squeeze(x.reshape(2, 1, 12), 1)[1]]),
    "split": lambda x: jnp.concatenate(jnp.split(x, [3, 10])[::-1]),
    "padding": lambda x: jnp.pad(x.reshape(4, 6), ((1, 0), (2, 3)), constant_values=0.5),
    "constants": lambda x: jnp.concatenate([jnp.arange(3, dtype=x.dtype), jnp.zeros(2) + 1, x]),
    "broadcast": lambda x: jnp.broadcast_to(x[:3, None], (3, 4)) + jnp.broadcast_to(x[None, :4], (3, 4)),
    "types": lambda x: (x > 0).astype(x.dtype) + x.astype(jnp.int32).astype(x.dtype),
    "products": lambda x: x.reshape(4, 6) @ jnp.ones((6, 2)) @ jnp.ones(2),
    "products of both": lambda x: jnp.einsum("bij,bkj->bik", x.reshape(2, 3, 4), x.reshape(2, 3, 4)),
    "no gradient": lambda x: lax.stop_gradient(x),
    "loop": lambda x: lax.scan(lambda c, r: (c * 0.5 + r, c), jnp.zeros(6), x.reshape(4, 6), reverse=True),
    "nested": lambda x: jax.jit(lambda y: jax.checkpoint(jax.nn.relu)(y) * 2)(x),
    "constant": lambda x: jnp.ones(3),
}


def flat(function):
    return lambda x: jnp.concatenate([jnp.ravel(leaf).astype(x.dtype) for leaf in jax.tree.leaves(function(x))])


def run(content, seen):
    session = pytest.importorskip("onnxruntime").InferenceSession(content)
    return session.run(["action"], {"observation": np.asarray(seen)})[0]


def converted(function, dtype=jnp.float64):
    shape = jax.export.symbolic_shape(f"batch, {SIZE}")
    return onnx_graph.to_bytes("a test", jax.vmap(function), jax.ShapeDtypeStruct(shape, dtype))


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation_is_the_same_for_any_number_of_observations(name, double):
    pytest.importorskip("onnxruntime", reason="pip install 'pods_jax[onnx]' to test it")
    with jax.enable_x64(double):
        function, dtype = flat(FUNCTIONS[name]), jnp.float64 if double else jnp.float32
        content = converted(function, dtype)
        for count in (1, 7):
            seen = jax.random.normal(jax.random.key(count), (count, SIZE), dtype)
            got, expected = run(content, seen), jax.vmap(function)(seen)
            np.testing.assert_allclose(got, expected, atol=1e-12 if double else 3e-5, rtol=1e-12 if double else 1e-5)
            assert got.dtype == expected.dtype


def test_convolutions_are_the_same_in_single_precision():  # onnxruntime has no others
    def convolve(x, **options):
        numbers = ("NHWC", "HWIO", "NHWC")
        made = lax.conv_general_dilated(image(x), KERNEL.astype(x.dtype), dimension_numbers=numbers, **options)
        return jnp.ravel(made)

    pytest.importorskip("onnxruntime", reason="pip install 'pods_jax[onnx]' to test it")
    with jax.enable_x64(False):
        for options in (
            {"window_strides": (1, 1), "padding": "SAME"},
            {"window_strides": (2, 1), "padding": ((0, 2), (1, 0)), "rhs_dilation": (1, 2)},
        ):
            content = converted(lambda x, options=options: convolve(x, **options), jnp.float32)
            seen = jax.random.normal(jax.random.key(3), (3, SIZE), jnp.float32)
            expected = jax.vmap(lambda x, options=options: convolve(x, **options))(seen)
            np.testing.assert_allclose(run(content, seen), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: jnp.sort(x), "has sort,"),
        (lambda x: jnp.cumsum(x), "has cumsum,"),
        (lambda x: lax.while_loop(lambda y: y[0] < 1, lambda y: y + 1, x), "has while,"),
        (lambda x: lax.pad(x, 0.0, [(0, 0, 1)]), "has a pad between entries,"),
    ],
)
def test_an_operation_that_is_not_known_is_named_with_the_formats_that_can_do_it(function, says):
    with pytest.raises(InputError, match=rf"format = 'onnx': must be stablehlo or safetensors: the network {says}"):
        converted(function)


def test_weights_that_are_used_twice_are_written_once():
    kernel = jax.random.normal(jax.random.key(0), (SIZE, SIZE))
    shape = jax.export.symbolic_shape(f"batch, {SIZE}")
    graph = onnx_graph.trace(lambda x: jnp.tanh(x @ kernel) @ kernel, jax.ShapeDtypeStruct(shape, kernel.dtype))
    assert [array.shape for array in graph.constants.values()] == [(SIZE, SIZE)]
