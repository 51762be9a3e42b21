"""Where images to be scored come from, besides ganbench's own runs."""
