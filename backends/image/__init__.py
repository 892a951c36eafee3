"""Image engines: a pinned diffusers model, steps with a preview, stop within one step, and pictures with their recipe."""
