"""Whether this machine is fit, and whether an environment is right."""
