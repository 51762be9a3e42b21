"""Scoring: from generated images to numbers that can be trusted."""
