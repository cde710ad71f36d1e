"""Pure: what an operator can do about the error that a stream shows."""

_PUBLISHER = "Look at the publisher: its line, its encoder, and whether it is still running."
_ADVICE = (
    ("disk that holds hls_output_dir is full", "Free space where HLS_OUTPUT_DIR is, or set limits.spool_bytes."),
    ("cannot write to the stream's folder", "Make HLS_OUTPUT_DIR writable for the user that StreamKit runs as."),
    ("ffmpeg got no more memory", "Use a smaller ladder or fewer streams, or raise encoder.memory_limit if it is set."),
    ("ffmpeg may not open more files", "Raise the limit of open files (ulimit -n), or run fewer streams."),
    ("timestamps of what the publisher sends", "Start the publisher's encoder again; its clock stands still."),
    ("an encoder that the ladder asks for, is missing", "Install that encoder, or name another one in the ladder."),
    ("device that the ladder's encoder needs", "Check encoder.device and its driver, or use a software encoder."),
    ("refused an option of the ladder", "The log has FFmpeg's own words; correct that rendition in the ladder."),
    ("cannot read what the publisher sends", "Let the publisher send H.264 with AAC; the log has FFmpeg's own words."),
    ("before it had sent any picture or sound", _PUBLISHER),
    ("the publisher sent nothing", _PUBLISHER),
    ("nothing playable came", "Check that the publisher sends picture or sound under exactly this key."),
    ("made no progress", "The machine may be too busy: look at its CPU, and use a faster preset or a smaller ladder."),
    ("ffmpeg was killed", "If StreamKit did not end it, the system was short of memory: look at the kernel's log."),
    ("ffmpeg crashed", "It is restarted by itself. When it goes on, try another version of FFmpeg (encoder.ffmpeg)."),
    ("clock and this machine's differ", "Set both clocks, by NTP."),
    ("is full (", "Free space in the bucket or raise its quota; segments wait on disk until then."),
    ("refused the request", "Check the access key and its permissions; segments wait on disk until then."),
    ("upload of ", "Nothing is lost: segments wait on disk and are uploaded when the object store is back."),
    ("still wait for the object store", "Check the object store; what waits is uploaded when it is back."),
    ("were given up", "The object store was away for longer than the disk lasts: enlarge limits.spool_bytes."),
    ("gave up after", "The log has the first error; the stream is tried again every minute."),
    ("only its log tells", "Read the last lines of FFmpeg in the log."),
)


def advice_for(error: str | None) -> str | None:
    """Return one sentence or two on what to do about `error`, None when there is none to give."""
    text = (error or "").lower()
    return next((advice for fragment, advice in _ADVICE if fragment in text), None)
