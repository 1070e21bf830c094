"""Image files: decoding, validation, previews and input images."""
