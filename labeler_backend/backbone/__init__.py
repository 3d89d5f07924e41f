"""Which model, where its weights come from, image → Features, and the cache of them."""
