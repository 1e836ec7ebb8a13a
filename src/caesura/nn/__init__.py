"""Layers that know no method."""
