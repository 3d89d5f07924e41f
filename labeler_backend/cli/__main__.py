"""`python -m labeler_backend.cli`."""

from labeler_backend.cli import main

if __name__ == "__main__":
    main()
