"""Images: files, the maps between their pixels and frames, sampling, random warps and caches."""
