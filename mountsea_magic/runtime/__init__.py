"""Threads, files, processes, text and redaction: nothing here knows about images or Hubs."""
