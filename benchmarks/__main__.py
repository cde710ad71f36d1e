"""Run every benchmark, or those named: `python -m benchmarks [NAME ...]`; BENCHMARKS below has the names."""

import sys

from benchmarks import cpu, events, first_playable, ladder, listing_lag, load, pictures, quality, vod
from benchmarks.stage import Figure, print_figures, print_machine

BENCHMARKS = {
    "first_playable": first_playable,
    "listing_lag": listing_lag,
    "cpu": cpu,
    "events": events,
    "ladder": ladder,
    "quality": quality,
    "pictures": pictures,
    "load": load,
    "vod": vod,
}


def main(names: list[str]) -> int:
    """Print one table; return 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    print_machine()
    figures: list[Figure] = []
    for name in names or list(BENCHMARKS):
        print(f"... {name}", flush=True)
        figures += BENCHMARKS[name].run()
    print_figures(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
