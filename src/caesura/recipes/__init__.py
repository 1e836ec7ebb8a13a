"""Recipes: what to train on what and how, as typed values and as TOML."""
