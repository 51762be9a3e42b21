"""The networks behind the scores."""
