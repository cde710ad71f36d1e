"""RTMP in, FLV out: StreamKit plays a stream from a server, or takes it from a publisher, and feeds FFmpeg's stdin.

Why in Python: FFmpeg that pulls by itself joins after the first key frame and probes for seconds, while a player that
is already joined when the publisher begins gets the first key frame at once. Here the headers are read before FFmpeg
starts, so its geometry is known, and the same feed serves a pull and the embedded ingest.

    pure     errors, amf0, chunks (RTMP 1.0 section 5.3), flv, sequence, headers, gop, flv_stream
    asyncio  sockets, tcp, connection, feed, pull, ingest; loop.py owns the thread in which all of them run
"""
