"""A stand-in for label-studio-ml 2.x, which is not on PyPI: what its server does with a model."""
