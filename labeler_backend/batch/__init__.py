"""Many images through the labeler: inputs, the stream, what is written, and going on after a stop."""
