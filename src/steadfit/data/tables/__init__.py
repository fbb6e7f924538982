"""Tables of labels: cells, columns and their meaning, checks, splits, and the rows that passed the checks."""
