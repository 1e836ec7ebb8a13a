"""TimeMAR, arXiv 2601.11184: generation, each score beside that of real windows."""
