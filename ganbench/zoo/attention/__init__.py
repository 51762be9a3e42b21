"""Blocks that a network can carry at a feature map."""
