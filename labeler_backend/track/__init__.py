"""A whole video into a folder: the masks that are given, what is written, going on after a stop."""
