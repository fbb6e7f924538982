"""The audit of labels: the table of all labels, and the list of suspects."""

from steadfit.audit.labels import label_table, labels_of, row_of
from steadfit.audit.suspects import read_suspects, suspects, write_suspects

__all__ = ["label_table", "labels_of", "read_suspects", "row_of", "suspects", "write_suspects"]
