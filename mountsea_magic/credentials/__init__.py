"""Stored API keys: in the system's keyring, or in a file that only its owner can read."""
