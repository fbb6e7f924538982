"""Drawn faces with exact labels, for the demo and the tests."""
