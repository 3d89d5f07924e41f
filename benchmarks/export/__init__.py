"""What the benchmarks of `labeler export` share: a project with known contents, exporters, scores."""
