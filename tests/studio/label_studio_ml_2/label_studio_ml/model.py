"""A new model for each request; what it remembers is kept as strings under its project's id."""

import json

_KEPT = {}


class LabelStudioMLBase:
    def __init__(self, project_id=None, label_config=None):
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        if not self.get("model_version"):
            self.set("model_version", "0.0.1")
        self.setup()

    def setup(self): ...

    def get(self, key):
        return _KEPT.get((self.project_id, key))

    def set(self, key, value):
        if not isinstance(value, str):
            raise ValueError("Value must be a string")
        _KEPT[self.project_id, key] = value

    @property
    def label_config(self):
        return self.get("label_config")

    @property
    def model_version(self):
        return self.get("model_version")

    def set_extra_params(self, extra_params):
        self.set("extra_params", extra_params)

    @property
    def extra_params(self):
        return json.loads(self.get("extra_params") or "{}")


class Server:
    """Its HTTP server without HTTP: `post` takes a path and a body and gives back status and body."""

    TRAIN_EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")

    def __init__(self, model_class):
        self._model_class = model_class

    def post(self, path, body):
        try:
            return 200, getattr(self, path.strip("/"))(body)
        except Exception as error:
            return 500, {"detail": f"{type(error).__name__}: {error}"}

    def setup(self, body):
        project = body["project"].split(".", 1)[0]
        model = self._model_class(project_id=project, label_config=body["schema"])
        if body.get("extra_params"):
            model.set_extra_params(body["extra_params"])
        return {"model_version": model.get("model_version")}

    def predict(self, body):
        project, params = str(body["project"]).split(".", 1)[0], dict(body.get("params", {}))
        context = params.pop("context", {})
        model = self._model_class(project_id=project, label_config=body["label_config"])
        return {"results": json.loads(json.dumps(model.predict(body["tasks"], context=context, **params)))}

    def webhook(self, body):
        data = dict(body)
        event = data.pop("action")
        if event not in self.TRAIN_EVENTS:
            return {"status": "Unknown event"}
        project = data["project"]
        model = self._model_class(str(project["id"]), label_config=project["label_config"])
        return {"result": model.fit(event, data), "status": "ok"}
