"""Objectives: one file a method; none knows a concrete encoder or decoder."""
