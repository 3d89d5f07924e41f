"""COCO: written (`dataset`, `file`, `segmentation`, `uris`) and read (`reading`, `rows`, `shapes`)."""
