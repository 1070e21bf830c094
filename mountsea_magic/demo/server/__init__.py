"""The demo Hub as an ASGI app, served in-process or over HTTP."""
