"""What the product means: models and pure rules. No clock, no environment, no AWS, no HTTP."""
