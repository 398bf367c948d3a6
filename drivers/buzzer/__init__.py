"""The buzzer that officers and bystanders hear."""
