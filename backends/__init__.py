"""Everything that touches the world; never imports gradio."""
