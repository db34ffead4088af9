"""The commands: `pods-train` and its like, once installed, or `python scripts/train.py` in a checkout."""
