"""The demo Hub: the whole documented contract, served in-process or over HTTP, with no key."""
