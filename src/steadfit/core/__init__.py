"""Pure functions of tensors; torch and numpy only."""
