"""RoMAE, arXiv 2505.20535: its tables and figures, one file each, and what goes past them."""
