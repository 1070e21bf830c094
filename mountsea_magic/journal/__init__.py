"""The journal: every request, from before it is sent until its images are on disk, in SQLite."""
