"""What development needs besides the product: the demo, and the renewal of the constraints."""
