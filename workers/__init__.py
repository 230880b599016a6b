"""The worker process: arq starts, feeds and supervises; the work itself runs in tasks that the process owns."""
