"""Small symmetric matrices: eigen-decompositions, functions of them with derivatives, and closed forms."""
