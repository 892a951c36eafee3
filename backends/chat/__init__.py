"""Engines that answer: in this process on CPU and CUDA, and on ZeroGPU."""
