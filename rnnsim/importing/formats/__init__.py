"""Readers of files: what arrays they hold, without the framework that wrote them."""
