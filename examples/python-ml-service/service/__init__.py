"""Answers questions about a noisy quadratic over HTTP."""
