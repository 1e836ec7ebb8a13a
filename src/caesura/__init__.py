"""Self-supervised learning on irregular, multivariate and unequal-length time series."""

__version__ = "0.1.0"
