"""The ML backend: the HTTP app, the protocol's models, the queue before the model, the status page."""
