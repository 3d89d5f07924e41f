"""Clicks, boxes and scribbles → one object's mask, from cached features and the pool of proposals."""
