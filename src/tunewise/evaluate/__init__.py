"""One runner, parser and set of metrics for all rivals, and the statistics that compare them."""
