"""HiMAE, arXiv 2510.25785, on public stand-ins for its private data: one file an experiment."""
