"""Penalties on the discriminator."""
