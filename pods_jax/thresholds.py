"""Sizes at which one way of computing gives way to another, each with the reason for its value.

They decide about speed and compile time only, never about results. What was measured for each stands in
`docs/architecture.md`.
"""

MAX_SCALARIZED_SIZE = 20
"""Unknowns of an implicit step that is written out as scalars (`linalg.scalarize`); above, compile time outweighs."""

MAX_INVERSE_SIZE = 9
"""Rows of a matrix that is inverted by scalars: n times the operations of a solve, and n terms for each product."""

MAX_BLOCK_SIZE = 6
"""Unknowns of a block of a block tridiagonal matrix that is eliminated by scalars; larger ones are left to LAPACK."""

MIN_LAYER_SAVING = 0.5
"""Elimination by layers is used where it takes at most this share of the operations of the whole matrix."""

MAX_LISTED_SPRINGS = 12
"""Springs whose sums over ends are written out term by term; above, a product with the incidence matrix."""

MAX_CACHED_NUMBERS = 2**19
"""Numbers that the caches of a processor hold: the matrices of so many rollouts are computed together."""

MAX_CPU_ROLLOUTS = 500
"""Rollouts computed together on a processor; more gain nothing."""

EXPECTED_HESSIAN_PRODUCTS = 400
"""Products with the Hessian that conjugate gradients are charged for one direction, when "auto" compares methods."""
