// The gauges of the machine and of the limits.

import { $, put } from "/static/page.js";
import { UNKNOWN, bytes, percent } from "/static/words.js";

export function showMachine(service) {
  const left = Math.max(0, service.max_streams - service.streams);
  gauge("capacity", String(service.streams), `room for ${left} more`, service.streams / service.max_streams);
  gauge("cpu", percent(service.cpu), service.processors ? `${service.processors} processors` : "", service.cpu);
  gauge("memory", bytes(service.memory_used), `of ${bytes(service.memory_total)}`, share(service.memory_used, service.memory_total));
  const used = service.disk_total === null ? null : service.disk_total - service.disk_free;
  gauge("disk", bytes(service.disk_free), `free of ${bytes(service.disk_total)}`, share(used, service.disk_total));
  const room = service.spool_limit || service.disk_free;
  const segments = service.spool_segments === 1 ? "1 segment" : `${service.spool_segments} segments`;
  gauge("spool", bytes(service.spool_bytes), segments, share(service.spool_bytes, room));
}

function gauge(id, value, detail, filled) {
  const box = $(id);
  put(box.querySelector("b"), value);
  put(box.querySelector("span"), value === UNKNOWN ? "" : detail);
  box.querySelector("meter").value = filled || 0;
}

const share = (part, whole) => (whole ? part / whole : 0);

export function troubles(service) {
  return [
    service.is_draining ? "Draining: running streams go on, new ones are refused." : "",
    service.uploads ? `${service.uploads} Segments wait on disk meanwhile.` : "",
    service.spool_given_up ? `${service.spool_given_up} segments were given up since the start, because the object store did not take them in time.` : "",
    ...service.stuck.map((sentence) => `${sentence}. The log shows where.`),
  ].filter(Boolean);
}
