"""Measures of a run by split."""
