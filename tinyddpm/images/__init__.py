"""Beyond the paper, for images."""
