"""Compare losses fairly: train a grid of networks that differ only in their arm, and evaluate it."""
