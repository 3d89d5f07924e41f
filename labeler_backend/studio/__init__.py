"""Label Studio's side of the border: labelling configs, regions, media, its API."""
