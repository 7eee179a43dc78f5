"""From messages to tokens: templates, which tokens carry loss, packing."""
