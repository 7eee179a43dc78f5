"""What people read: the report and the model card."""
