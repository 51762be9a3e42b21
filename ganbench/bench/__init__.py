"""How fast a training step is, where its time goes, and how it compares with the plain way of writing it."""
