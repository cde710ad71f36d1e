"""AES-128 segments (RFC 8216 4.3.2.4 and 5.2): their keys, the cipher and the files."""
