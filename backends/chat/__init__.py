"""Chat engines: in this process (CPU, CUDA) and on ZeroGPU, behind `core.chat_protocols.ChatBackend`."""
