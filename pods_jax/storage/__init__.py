"""What is kept on disk: checkpoints, checksums, how a run was made, known optima."""
