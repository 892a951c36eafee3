"""Pictures of visitors on disk, and the index that finds them."""
