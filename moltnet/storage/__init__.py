"""Where a network keeps its state: one promise, several stores."""
