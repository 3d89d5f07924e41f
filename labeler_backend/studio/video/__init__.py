"""Videos in Label Studio: what a config asks of them, how the editor counts frames, boxes ↔ tracks."""
