"""Quantifying the Pre-training Dividend, arXiv 2605.19462, under one control."""
