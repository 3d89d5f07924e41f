"""Several projects on one backend, and one whose labelling config changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from .answers import assert_predicted, labels_of, polygon_config, prompt_on
from .backend import Backend
from .pictures import Picture
from .studio import Studio

BRUSH = """<View>
  <Image name="photo" value="$picture"/>
  <BrushLabels name="brush" toName="photo" smart="false"><Label value="cup"/></BrushLabels>
</View>"""
BOXES = """<View>
  <Image name="photo" value="$image"/>
  <RectangleLabels name="frame" toName="photo" smart="false"><Label value="person"/></RectangleLabels>
</View>"""


def test_projects_never_see_each_others_labels(
    studio: Studio, shared_backend: Backend, pictures: list[Picture]
) -> None:
    """Three at once, the same pictures, different tags and labels."""
    configs = {"cat": polygon_config("cat"), "cup": BRUSH, "person": BOXES}
    client = studio.client()
    projects = {}
    for label, config in configs.items():
        projects[label] = project = client.create_project(config, title=f"only {label}")
        client.upload(project, [picture.path for picture in pictures])
        client.connect(project, shared_backend.url)
    with ThreadPoolExecutor(len(projects)) as pool:
        list(pool.map(lambda project: studio.client().retrieve_predictions(project), projects.values()))
    for label, project in projects.items():
        predictions = client.predictions(project)
        assert_predicted(configs[label], predictions, tasks=3)
        assert {name for ones in predictions.values() for name in labels_of(ones[0])} == {label}


def test_clicks_in_two_projects_at_once(
    studio: Studio, shared_backend: Backend, pictures: list[Picture]
) -> None:
    client = studio.client()
    asked = []
    for label in ("cat", "cup"):
        project = client.create_project(polygon_config(label))
        client.upload(project, [picture.path for picture in pictures])
        backend = client.connect(project, shared_backend.url)
        for task in client.tasks(project):
            region = client.open_task(task["id"])["predictions"][0]["result"][0]
            asked.append((label, backend, task["id"], prompt_on(region, "rectanglelabels", label)))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: studio.client().prompt(one[1], one[2], [one[3]]), asked * 2))
    assert [labels_of(answer["data"]) for answer in answers] == [{label} for label, *_ in asked * 2]


def test_changed_config(studio: Studio, shared_backend: Backend, pictures: list[Picture]) -> None:
    """What is retrieved after the labels were changed is of the new labels only."""
    old, new = polygon_config("old name"), BOXES
    client = studio.client()
    project = client.create_project(old)
    client.upload(project, [picture.path for picture in pictures])
    client.connect(project, shared_backend.url)
    client.retrieve_predictions(project)
    assert_predicted(old, client.predictions(project), tasks=3)
    client.call("PATCH", f"/api/projects/{project}", json={"label_config": new})
    client.action(project, "delete_tasks_predictions")
    client.retrieve_predictions(project)
    predictions = client.predictions(project)
    assert_predicted(new, predictions, tasks=3)
    assert {name for ones in predictions.values() for name in labels_of(ones[0])} == {"person"}
