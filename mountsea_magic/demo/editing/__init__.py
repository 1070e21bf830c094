"""What the demo Hub makes of an input image and a prompt in place of a model."""
