"""Emergent Labeler: masks before anyone has labelled anything, from what DINO transformers already see."""

__version__ = "0.1.0"
