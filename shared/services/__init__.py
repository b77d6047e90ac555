"""What the product does: a verb per function, each naming in its signature what it touches."""
