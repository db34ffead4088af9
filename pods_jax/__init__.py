"""Policy optimization via differentiable simulation, in JAX (Zamora et al., ICML 2021)."""
