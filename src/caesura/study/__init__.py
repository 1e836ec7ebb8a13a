"""Comparisons with controls, and the reports that show them."""
