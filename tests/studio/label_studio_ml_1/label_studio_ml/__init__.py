"""A stand-in for label-studio-ml 1.x: what its server does with a model, in as few lines as show it.

The real 1.0.9 has a test of its own in tests/real_studio; this one runs everywhere.
"""
