"""The demo Hub: the documented API, served in-process or over HTTP, without an API key."""
