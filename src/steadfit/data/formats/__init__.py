"""Formats of labels: one file per format, each gives a :class:`~steadfit.data.tables.source.Source`."""
