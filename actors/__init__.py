"""The actors: who owns, starts, tells and stops whom is in each file's docstring."""
