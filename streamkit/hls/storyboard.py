"""Pure: the storyboard of a broadcast as WebVTT, whose cues are rectangles of sheets (media fragments, #xywh=)."""

from collections.abc import Sequence

from streamkit.hls.events import SheetStored
from streamkit.hls.names import sheet_name


def render_storyboard(sheets: Sequence[SheetStored], *, end_ms: int) -> str:
    """Return the file that lists these sheets; the last picture is shown until `end_ms` on the broadcast's timeline."""
    cues = [(start, sheet, index) for sheet in sheets for index, start in enumerate(sheet.starts)]
    ends = [start for start, _, _ in cues[1:]] + [end_ms]
    lines = ["WEBVTT", ""]
    for (start, sheet, index), end in zip(cues, ends, strict=False):
        if end > start:
            lines += [f"{_time(start)} --> {_time(end)}", _place(sheet, index), ""]
    return "\n".join(lines)


def _place(sheet: SheetStored, index: int) -> str:
    line, column = divmod(index, sheet.columns)
    x, y = column * sheet.cell_width, line * sheet.cell_height
    return f"{sheet_name(sheet.session, sheet.number)}#xywh={x},{y},{sheet.width},{sheet.height}"


def _time(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"
