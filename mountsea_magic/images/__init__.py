"""From bytes to checked image files, previews and input images."""
