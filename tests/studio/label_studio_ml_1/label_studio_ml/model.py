"""One model for all projects, rebuilt at each /setup; its version is the name of the last training run."""

from abc import ABC, abstractmethod


class LabelStudioMLBase(ABC):
    TRAIN_EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "PROJECT_UPDATED")

    def __init__(self, label_config=None, train_output=None, **kwargs):
        self.label_config = label_config
        self.train_output = train_output or {}
        self.hostname = kwargs.get("hostname", "")
        self.access_token = kwargs.get("access_token", "")

    @abstractmethod
    def predict(self, tasks, **kwargs): ...

    def fit(self, tasks, workdir=None, **kwargs):
        return {}


class Server:
    """Its HTTP server without HTTP: `post` takes a path and a body and gives back status and body."""

    def __init__(self, model_class, **init_kwargs):
        self._model_class, self._init_kwargs = model_class, init_kwargs
        self._model, self._runs = None, []

    def post(self, path, body):
        try:
            return 200, getattr(self, path.strip("/"))(body)
        except Exception as error:
            return 500, {"detail": f"{type(error).__name__}: {error}"}

    def setup(self, body):
        said = {name: body.get(name) for name in ("hostname", "access_token", "model_version")}
        self._model = self._model_class(label_config=body["schema"], **said, **self._init_kwargs)
        return {"model_version": self._runs[-1] if self._runs else "INITIAL"}

    def predict(self, body):
        if self._model is None:
            raise ValueError("Model is not loaded: run setup() before using predict()")
        return {"results": self._model.predict(body["tasks"], **(body.get("params") or {}))}

    def webhook(self, body):
        data = dict(body)
        event, job = data.pop("action"), str(1_700_000_000 + len(self._runs))
        config = data.get("project", {}).get("label_config")
        model = self._model_class(label_config=config, train_output=None)  # in a process of its own there
        if event in model.TRAIN_EVENTS:
            run = model.fit((), event=event, data=data, job_id=job, workdir=f"/models/{job}")
            if isinstance(run, dict):
                self._runs.append(job)
        return {"job_id": job}
