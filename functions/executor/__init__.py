"""Executes runs: SQS batches in, LangFlow calls out."""
