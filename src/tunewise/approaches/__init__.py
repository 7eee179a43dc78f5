"""The rivals: one file per way of getting answers. To add one, write a file and list it in the pipeline."""
