"""Label Studio's tasks, from an export or as the API gives them → records.

A file is read task by task (`files`). Of each task one or more annotations are chosen (`choosing`) and read
(`marked`), its pictures and videos are found in its data (`task_media`, `pages`) and named (`names`), and
what was marked on each becomes a record: `pictures` with `attributes` and `keypoints`, `videos` with
`tracks`. `reading` puts it together.
"""

from labeler_backend.studio.export_json.choosing import Policy
from labeler_backend.studio.export_json.files import ExportError, tasks_in
from labeler_backend.studio.export_json.reading import records

__all__ = ["ExportError", "Policy", "records", "tasks_in"]
