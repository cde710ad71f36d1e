"""What is really inside encoded files: MPEG-TS and fragmented MP4, read by small parsers of our own. Pure.

`probe.read` is the entry: the bytes of a segment (its beginning is enough) -> MediaInfo.
"""
