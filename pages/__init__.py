"""One module per tab: layout, events, and handlers that are plain methods."""
