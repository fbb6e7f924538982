"""The audit of labels: the table of all labels with their trust, and the list of suspects."""

from steadfit.audit.suspects import error_rate, label_table, read_suspects, suspects, write_suspects

__all__ = ["error_rate", "label_table", "read_suspects", "suspects", "write_suspects"]
