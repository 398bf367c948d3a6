"""The vibration motor that its wearer feels."""
