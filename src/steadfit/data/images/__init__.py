"""Images: files, the maps between their pixels and frames, sampling, random warps and caches."""

from steadfit.data.images.files import read_image

__all__ = ["read_image"]
