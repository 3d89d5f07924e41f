"""The virtual environment of label-studio-ml 1.0.9, whose Flask 1.1 cannot live beside our packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .backend import ROOT
from .processes import clean_environment

_IMPORTS = """
import label_studio_ml.model, flask, importlib.metadata as metadata
import labeler_backend.labeler
print(metadata.version("label-studio-ml"), flask.__version__, labeler_backend.__file__)
"""


def test_it_sees_the_product_and_keeps_its_own_flask(label_studio_ml: Path) -> None:
    command = [str(label_studio_ml / "bin" / "python"), "-c", _IMPORTS]
    env = clean_environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, flask, where = done.stdout.split()
    assert (version, flask) == ("1.0.9", "1.1.2")
    assert Path(where).is_relative_to(ROOT)
