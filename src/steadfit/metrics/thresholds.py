"""The default thresholds of measures."""

FAILURE = 0.05
"""A failure is an error above this share of the normalising length (paper 2)."""
PCK_ALPHA = 0.2
"""A point is right within this share of the normalising length (PCK@.2, as on LSP)."""
PCP_ALPHA = 0.5
"""A part is right if its ends are within this share of its length."""
