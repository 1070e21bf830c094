"""Stored API keys: in the system keyring, or in a file that only its owner can read."""
