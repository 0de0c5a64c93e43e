"""The fastest way to train a network on this machine that gives the same weights: found by trying."""
