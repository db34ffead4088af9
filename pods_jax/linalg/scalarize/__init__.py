"""Small arrays, taken apart into scalars while tracing.

A mass on a spring is three numbers. As arrays with a batch in front, thousands of such states are read with strides,
stacked, sliced and multiplied by matrices of 3 x 3, and a compiler for large tensors makes slow loops of that. As
scalars, each of the three numbers is under `vmap` one contiguous vector, and what is done with them is plain vector
arithmetic. `scalarized` rewrites a function so; physics and algebra stay written with arrays. The function is
traced to a jaxpr, whose arrays become NumPy arrays of expressions: moving data then costs nothing, equal expressions
become one, and what is known while tracing is simplified,

    0 + x = x,   0 x = 0,   1 x = x.

So a product with a constant incidence matrix becomes a few differences, and an elimination keeps the zeros of a
sparse matrix, without a word about it where they are written. (0 x = 0 even if x is not finite: what is known to be
zero is the structure of a problem, not a value.) Loops stay loops, over scalars. What has no rule here is done with
arrays as before, so that every function may be rewritten; whether it pays is a matter of size, as compile time grows
with the number of operations.
"""

from pods_jax.linalg.scalarize.graph import scalarized, scalarized_if_small, scan_by_scalars

__all__ = ["scalarized", "scalarized_if_small", "scan_by_scalars"]
