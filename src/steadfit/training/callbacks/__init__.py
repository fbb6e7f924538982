"""Callbacks of a training: refits, rounds, early stopping, history, progress, guards."""
