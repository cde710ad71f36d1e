"""StreamKit: live encoder from RTMP to adaptive HLS on S3."""

__version__ = "0.1.0"
