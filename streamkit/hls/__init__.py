"""HLS: names, the ledger of segments, its journal, and the playlists rendered from it. Pure, but for the journal."""
