"""Which tests wait for `make test-all`."""

import pytest


def slow_but(values, *quick):
    """Parameters of a test, all of them slow but for those that `make test` is to have."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
