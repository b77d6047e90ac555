"""Deals with messages that no executor survived."""
