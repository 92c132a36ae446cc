"""Runnable examples: the library with plain Transformers, a sweep from Python, results as a pandas table. `README.md` explains them."""
