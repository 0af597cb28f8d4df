"""Random tensor programs: generating them with NumPy's answers, running them, comparing."""
