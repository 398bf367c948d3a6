"""Writes an image to cards, several at once, and proves that it is there (docs/FLASH.md)."""
