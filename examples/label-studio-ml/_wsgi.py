"""Emergent Labeler under label-studio-ml, 1.x or 2.x.

gunicorn --workers 1 --threads 8 --timeout 120 --bind 127.0.0.1:9090 _wsgi:app
"""

import os
from pathlib import Path

from label_studio_ml.api import init_app
from model import EmergentLabelerModel

from labeler_backend.studio.ml_base import API

# 1.x writes a folder for each webhook there; 2.x reads MODEL_DIR by itself
jobs = {"model_dir": os.environ.get("MODEL_DIR", str(Path(__file__).parent / "jobs"))} if API == 1 else {}
app = init_app(EmergentLabelerModel, **jobs)

if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "9090")))
