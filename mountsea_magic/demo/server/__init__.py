"""The demo Hub as an ASGI app, in this process or over HTTP."""
