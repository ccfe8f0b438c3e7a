"""How what was found becomes an answer: fused scores, a packed budget, a digest by coverage. Pure functions."""
