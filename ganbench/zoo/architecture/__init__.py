"""Generators and discriminators, by published model."""
