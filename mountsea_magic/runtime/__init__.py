"""What needs to know neither images nor Hubs: threads, files, processes, text, redaction."""
