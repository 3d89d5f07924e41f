"""A task's media as a file: where it is, who may be asked, over which connections, and what is kept."""
