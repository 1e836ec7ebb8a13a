"""Decoders: features and queries in, values out."""
