"""What the functions share: meaning (`domain`), verbs (`services`), and the doors to the outside world."""
