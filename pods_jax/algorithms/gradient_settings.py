"""Settings of algorithms that follow gradients of returns, BPTT and SHAC."""

from dataclasses import dataclass

from pods_jax.settings import setting

HALVED_AFTER = "epochs; learning rates fall as 1 / (1 + epoch / halved_after), 0: they stay"


@dataclass(frozen=True)
class GradientOptimizer:
    """Adam on a gradient whose norm is clipped."""

    learning_rate: float = setting(1e-2, "of the policy in the first epoch", above=0.0)
    halved_after: float = setting(10.0, HALVED_AFTER, at_least=0.0)
    max_gradient_norm: float = setting(1.0, "a longer gradient is clipped to this norm", above=0.0)


def whole_minibatches(batch_size: int, minibatch_size: int) -> tuple[int, int]:
    """`batch_size` rounded down to whole minibatches, and `minibatch_size` not above it."""
    size = min(minibatch_size, batch_size)
    return batch_size // size * size, size
