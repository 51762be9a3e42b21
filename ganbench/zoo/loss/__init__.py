"""The discriminator's and the generator's term on logits."""
