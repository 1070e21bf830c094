"""HTTP with the Hub and with image hosts, and the meaning of their responses."""
