"""Augmentations of all that the discriminator is shown."""
