"""The wire: HTTP with the Hub and with image hosts, and what their responses mean."""
