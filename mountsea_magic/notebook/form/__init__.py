"""The form: a request for images filled in with widgets."""
