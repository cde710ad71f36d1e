# The RTMP server of docker-compose.yml: Debian's nginx and rtmp module with nginx-rtmp.conf, which the tests run too.

FROM debian:12.11-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends nginx libnginx-mod-rtmp \
    && rm -rf /var/lib/apt/lists/*
COPY nginx-rtmp.conf /etc/nginx/nginx-rtmp.conf
USER www-data
EXPOSE 1935
# Debian's slim image has no HTTP client, but bash: ask /stat, which answers when the rtmp module is up.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8081 && printf 'GET /stat HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '<nginx_rtmp_version>' <&3"]
# -p: where nginx may write; the root file system can be read-only.
ENTRYPOINT ["nginx", "-p", "/tmp", "-c", "/etc/nginx/nginx-rtmp.conf"]
