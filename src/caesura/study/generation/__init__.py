"""Evaluation of synthetic series: windows of both kinds, scores beside their floors, a page."""
