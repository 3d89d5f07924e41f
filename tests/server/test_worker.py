"""The worker process: a real one, beside a made-up Label Studio, with a tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labeler_backend.heads.versions import Versions
from labeler_backend.projects import project_folder, studio_project
from labeler_backend.server.connections import FILE
from labeler_backend.server.jobs import Job, JobFolder
from labeler_backend.server.queue import Queue
from labeler_backend.server.supervisor import Supervisor
from labeler_backend.settings import ServerSettings
from tests.backbone.tiny import save_tiny
from tests.studio.fake_studio import TOKEN, Backend, FakeStudio, serve_fake

SECONDS = 60.0
