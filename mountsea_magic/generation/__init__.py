"""One generation, from a request to images on disk: submit, poll, download."""
