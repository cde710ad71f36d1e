"""A thousand different keys through the webhook, accepted and refused: failures, and how long the answers take."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.stage import Figure, Service, percentile, print_figures, stage

KEYS = 1000
CLIENTS = 8


def run() -> list[Figure]:
    """Return failed requests and the answer's p99; half of the keys are good, the others break the rule for keys."""
    with stage() as on:
        service = on.serve()
        with ThreadPoolExecutor(CLIENTS) as pool:
            began = time.monotonic()
            answers = [one for batch in pool.map(lambda part: _drive(service, part), range(CLIENTS)) for one in batch]
            elapsed = time.monotonic() - began
        service.process.stop()
    codes = [code for code, _ in answers]
    seconds = [spent for _, spent in answers]
    failed = sum(code >= 500 or code == 0 for code in codes)
    accepted, refused = codes.count(200), sum(400 <= code < 500 for code in codes)
    print(f"    {len(answers)} requests in {elapsed:.1f} s: {accepted} accepted, {refused} refused, {failed} failed")
    return [
        Figure(name=f"failed requests of {len(answers)}", value=failed, unit="", target=0, of_ratio=False),
        Figure(name="webhook answer, p50", value=percentile(seconds, 0.5) * 1000, unit="ms"),
        Figure(
            name="webhook answer, p99", value=percentile(seconds, 0.99) * 1000, unit="ms", target=50, of_ratio=False
        ),
    ]


def _drive(service: Service, part: int) -> list[tuple[int, float]]:
    """Publish and unpublish this client's share of the keys, as nginx-rtmp would."""
    answers = []
    with httpx.Client(base_url=service.url, timeout=10) as client:
        for number in range(part, KEYS, CLIENTS):
            key = f"key-{number}" if number % 2 == 0 else f"bad key {number}"
            for call in ("publish", "publish_done"):
                form = {"call": call, "app": "live", "name": key, "clientid": str(number), "addr": "127.0.0.1"}
                began = time.perf_counter()
                try:
                    code = client.post("/events/published", data=form).status_code
                except httpx.HTTPError:
                    code = 0
                answers.append((code, time.perf_counter() - began))
    return answers


if __name__ == "__main__":
    print_figures(run())
