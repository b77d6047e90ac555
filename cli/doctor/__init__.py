"""`spark doctor`: what is known of a deployment (`gathering`, `amazon`), what that means (`checks`, `stack_checks`)."""
