"""Pure: the command that publishes a test pattern, so that StreamKit can be seen at work without a camera."""

DEMO_FPS = 30
GOP_SECONDS = 2


def build_demo_argv(ffmpeg: str, url: str) -> list[str]:
    """Return the FFmpeg command that publishes to the RTMP address `url` in real time until it is ended.

    1280x720 at 30 frames per second: colour bars with a running clock (seconds since the start) and a tone.
    """
    # testsrc draws its clock itself; drawtext would need a font, which a bare machine does not have.
    bars = f"smptehdbars=size=1280x720:rate={DEMO_FPS}[bars]"
    clock = f"testsrc=size=426x240:rate={DEMO_FPS}:decimals=1[clock]"
    return [
        ffmpeg,
        "-hide_banner",
        *("-loglevel", "level+warning"),
        "-nostdin",
        # In real time, as a camera would.
        *("-re", "-f", "lavfi", "-i", f"{bars};{clock};[bars][clock]overlay=x=427:y=160:shortest=1,format=yuv420p"),
        *("-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
        # A soft tone: somebody may be wearing headphones.
        *("-filter_complex", "[1:a]volume=0.1,aformat=channel_layouts=stereo[tone]"),
        *("-map", "0:v", "-map", "[tone]"),
        # The cheapest encoding: the machine is needed for what is being shown.
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "2"),
        *("-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "2500k"),
        *("-g", str(DEMO_FPS * GOP_SECONDS), "-sc_threshold", "0"),
        *("-c:a", "aac", "-b:a", "128k"),
        *("-f", "flv", "-flvflags", "no_duration_filesize", url),
    ]
