"""Masks as arrays, RLE and polygons; edge-aware refinement; metrics."""
