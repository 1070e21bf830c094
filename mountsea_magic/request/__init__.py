"""What may be asked of a model: the catalog, its JSON Schemas, and the checked request."""
