"""Weight and activation normalizers."""
