// One tile per stream. Texts come from publishers: they are only ever set as text.

import { $, element, put, putTone } from "/static/page.js";
import { UNKNOWN, bits, codec, duration, rate, source, stateName, tone, tones } from "/static/words.js";

const tiles = new Map(); // key -> the tile's element

export function showTiles(feed, filter) {
  const streams = [...feed.streams.values()].filter((stream) => stream.stream_key.toLowerCase().includes(filter));
  const keys = new Set(streams.map((stream) => stream.stream_key));
  for (const [key, tile] of tiles) if (!keys.has(key)) { tile.remove(); tiles.delete(key); }
  let after = null;
  for (const stream of streams.sort(byUrgency)) {
    const tile = tiles.get(stream.stream_key) || create(stream.stream_key);
    fill(tile, stream);
    const place = after ? after.nextElementSibling : $("streams").firstElementChild;
    if (place !== tile) $("streams").insertBefore(tile, place);
    after = tile;
  }
}

export function showUptimes(feed) {
  for (const [key, tile] of tiles) {
    const stream = feed.streams.get(key);
    if (!stream) continue;
    const from = stream.started_at;
    const isOver = ["ended", "failed"].includes(stream.state);
    put(tile.querySelector(".uptime"), from && !isOver ? duration(feed.secondsSince(from)) : "");
  }
}

// What wants a look comes first; the order among equals never changes, so that tiles stay where they are.
function byUrgency(one, other) {
  const order = ["bad", "warn"];
  const place = (stream) => { const found = order.indexOf(tone(stream)); return found < 0 ? order.length : found; };
  return place(one) - place(other) || (one.stream_key < other.stream_key ? -1 : 1);
}

function create(key) {
  const tile = $("tile").content.cloneNode(true).firstElementChild;
  const address = `/watch/${encodeURIComponent(key)}`;
  tile.dataset.key = key;
  tile.querySelector(".key").textContent = key;
  for (const link of tile.querySelectorAll("a")) link.href = address;
  const picture = tile.querySelector("img");
  picture.addEventListener("error", () => { picture.hidden = true; });
  picture.addEventListener("load", () => { picture.hidden = false; });
  tiles.set(key, tile);
  return tile;
}

function fill(tile, stream) {
  const part = (name) => tile.querySelector(`.${name}`);
  putTone(tile, tone(stream));
  put(part("state"), stateName(stream));
  putTone(part("state"), tones.state(stream));
  put(part("source"), source(stream.source));
  fact(part("speed"), stream.speed ? `${stream.speed.toFixed(2)}×` : UNKNOWN, tones.speed(stream));
  fact(part("fps"), stream.fps ? `${rate(Math.round(stream.fps * 10) / 10)} fps` : UNKNOWN, "");
  fact(part("bitrate"), bits(stream.bitrate), "");
  fact(part("lag"), `${stream.upload_lag.toFixed(1)} s`, tones.lag(stream));
  fact(part("restarts"), String(stream.restarts), "");
  fact(part("lost"), String(stream.segments_lost), tones.lost(stream));
  showPicture(tile.querySelector("img"), stream);
  showRenditions(tile, stream);
  showError(tile.querySelector(".notice"), stream);
}

function fact(node, text, tone) {
  put(node, text);
  putTone(node, tone);
}

function showPicture(picture, stream) {
  const address = stream.poster_url || "";
  if (address === (picture.dataset.address || "")) return;
  picture.dataset.address = address;
  if (address) picture.src = address;
  else { picture.removeAttribute("src"); picture.hidden = true; }
}

function showRenditions(tile, stream) {
  const known = JSON.stringify([stream.renditions, stream.shed]);
  if (tile.dataset.renditions === known) return;
  tile.dataset.renditions = known;
  const count = stream.renditions.length;
  tile.querySelector("details").hidden = !count;
  put(tile.querySelector("summary"), count === 1 ? "1 rendition" : `${count} renditions`);
  tile.querySelector("tbody").replaceChildren(...stream.renditions.map((one) => row(one, stream)));
}

function row(rendition, stream) {
  const isShed = stream.shed.includes(rendition.name);
  const line = element("tr");
  const name = element("th", "", rendition.name);
  name.scope = "row";
  const kinds = [codec(rendition.video_codec), codec(rendition.audio_codec)].filter(Boolean);
  const total = rendition.video_bitrate + rendition.audio_bitrate;
  const cells = [
    rendition.height ? `${rendition.width}×${rendition.height}` : "sound",
    rendition.fps ? rate(rendition.fps) : UNKNOWN,
    [...new Set(kinds)].join(" + "),
    isShed ? "given up for now" : total ? bits(total) : "as sent",
  ];
  line.append(name, ...cells.map((text, at) => element("td", isShed && at === 3 ? "shed" : "", text)));
  return line;
}

function showError(notice, stream) {
  const error = stream.last_error || (stream.slate ? "Players see the slate: the publisher is gone." : "");
  const shed = stream.shed.length ? `The encoder is slower than real time: ${stream.shed.join(", ")} was given up for now.` : "";
  notice.hidden = !error && !shed;
  notice.classList.toggle("bad", stream.state === "failed");
  put(notice.querySelector(".error"), error || shed);
  put(notice.querySelector(".advice"), stream.advice || (shed && !error ? "Use a faster preset or a smaller ladder, or fewer streams on this machine." : ""));
}
