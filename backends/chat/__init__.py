"""Chat engines: in this process (CPU, CUDA) and on ZeroGPU, behind `core.protocols.ChatBackend`."""
