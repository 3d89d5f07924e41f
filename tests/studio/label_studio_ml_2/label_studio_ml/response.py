"""Only 2.x has this module."""


class ModelResponse: ...
