"""Formats of labels: one file per format, each of which gives a :class:`~steadfit.data.tables.source.Source`."""
