"""Videos: what they are; later, masks carried through them."""
