"""Formats for videos: `youtube_vis`, `mot`, `davis`; what they share is in `writer` and `clips`."""
