"""Facades in the shape of scikit-learn and aeon."""
