"""Generators of series whose truth is known."""
