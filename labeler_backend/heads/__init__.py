"""Light models on frozen features, learned from what people accepted: samples, heads, training, versions."""
