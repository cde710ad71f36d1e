# StreamKit: one process that needs PostgreSQL, an S3 store and an RTMP server (docker-compose.yml brings them).
#
#     docker build -t streamkit . && docker run --env-file .env -p 127.0.0.1:8080:8080 streamkit

FROM python:3.11.13-slim-bookworm AS build
WORKDIR /src
# First what changes least: hls.js, its version and checksum as pinned for `make setup`.
COPY scripts/fetch_hlsjs.py scripts/
RUN python scripts/fetch_hlsjs.py streamkit/web/static/vendor/hls.min.js
# Exactly what `make lock` chose, from whichever registry: what has another hash is refused.
COPY requirements.lock requirements-build.lock ./
# imageio-ffmpeg brings an FFmpeg of 80 MB for machines without one; this image has Debian's.
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && python -m venv /opt/streamkit \
    && /opt/streamkit/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && rm -f /opt/streamkit/lib/python3.11/site-packages/imageio_ffmpeg/binaries/ffmpeg-*
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY config config
COPY actors actors
COPY streamkit streamkit
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/streamkit/bin/pip install --no-deps --no-index /wheels/*.whl

FROM python:3.11.13-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home streamkit \
    && install -d -o streamkit -g streamkit /var/lib/streamkit/hls
COPY --from=build /opt/streamkit /opt/streamkit
ENV PATH=/opt/streamkit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HLS_OUTPUT_DIR=/var/lib/streamkit/hls
USER streamkit
WORKDIR /var/lib/streamkit
EXPOSE 8080
# /health says that the process serves; what it depends on is /ready's business, and no reason to restart it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('SERVER_PORT', '8080') + '/health', timeout=4)"]
ENTRYPOINT ["streamkit"]
CMD ["serve"]
