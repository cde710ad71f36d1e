// The page of live streams: polls /stats, plays the chosen stream with hls.js or the browser's own HLS.
"use strict";

const POLL_EVERY = 3000; // ms
const RETRY_AFTER = 2000; // ms
const $ = (id) => document.getElementById(id);
const video = $("video");

let chosen = keyInAddress();
let playing = ""; // the key that the player is set up for
let hls = null;
let retry = 0;
let streams = [];
let session = ""; // the broadcast that plays or played
let over = false; // it was played to its end

// /watch/KEY, or /watch?stream=KEY
function keyInAddress() {
  const last = location.pathname.split("/")[2];
  return (last && decodeURIComponent(last)) || new URLSearchParams(location.search).get("stream") || "";
}

// ---- what the service says

async function poll() {
  try {
    const answer = await fetch("/stats", { headers: { accept: "application/json" } });
    if (answer.status === 401) throw new Error("it is for operators, who log in at /login");
    if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
    const stats = await answer.json();
    streams = stats.streams;
    showTrouble(stats.note || "");
  } catch (error) {
    showTrouble(`The list may be old or empty: ${error instanceof TypeError ? "the service cannot be reached" : error.message}.`);
  }
  if (!chosen && streams.length) choose(streams.find((stream) => stream.playlist_url)?.stream_key || "", false);
  show();
}

async function keepPolling() {
  if (!document.hidden) await poll();
  setTimeout(keepPolling, POLL_EVERY);
}

// ---- what is chosen

function choose(key, remember = true) {
  chosen = key;
  if (remember) history.pushState(null, "", key ? `/watch/${encodeURIComponent(key)}` : "/watch");
  if (playing !== key) stop();
  show();
}

function show() {
  showList();
  const stream = streams.find((candidate) => candidate.stream_key === chosen);
  $("title").textContent = chosen || "No stream selected";
  document.title = chosen ? `${chosen} – StreamKit` : "StreamKit";
  $("facts").textContent = stream ? facts(stream) : "";
  $("address").hidden = !chosen;
  if (chosen) $("url").textContent = new URL(address(chosen), location).href;
  if (over && stream?.playlist_url && stream.session !== session) stop(); // it is live again
  if (!chosen) say(streams.length ? "Choose a stream." : "Nobody is live.");
  else if (playing !== chosen && !retry) play(chosen);
}

function facts(stream) {
  const best = stream.renditions.find((rendition) => rendition.height);
  return [
    stream.state,
    best ? `${best.width}×${best.height}` : "",
    stream.renditions.length > 1 ? `${stream.renditions.length} qualities` : "",
    stream.fps ? `${Math.round(stream.fps)} fps` : "",
    stream.uptime === null ? "" : duration(stream.uptime),
  ].filter(Boolean).join(" · ");
}

function duration(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

function showList() {
  const list = $("list");
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...streams.map(item));
  $("count").textContent = streams.length;
  $("empty").hidden = streams.length > 0;
  if (focused) [...list.querySelectorAll("button")].find((button) => button.dataset.key === focused)?.focus();
}

function item(stream) {
  const button = element("button", "");
  button.type = "button";
  button.dataset.key = stream.stream_key;
  button.setAttribute("aria-current", String(stream.stream_key === chosen));
  button.addEventListener("click", () => choose(stream.stream_key));
  const name = element("span", "name");
  name.append(element("span", stream.state === "live" ? "dot live" : "dot"), stream.stream_key);
  const detail = element("span", "detail");
  detail.textContent = facts(stream);
  button.append(name, detail);
  const entry = document.createElement("li");
  entry.append(button);
  return entry;
}

function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}

// ---- the player

const address = (key) => `/hls/${encodeURIComponent(key)}/playlist.m3u8`;
const token = new URLSearchParams(location.search).get("token"); // for encrypted streams
const withToken = (url) => (token ? `${url}?token=${encodeURIComponent(token)}` : url);

function play(key) {
  playing = key;
  session = streams.find((stream) => stream.stream_key === key)?.session || "";
  say("Loading …");
  const url = withToken(address(key));
  if (window.Hls?.isSupported()) playWithHlsJs(url);
  else if (video.canPlayType("application/vnd.apple.mpegurl")) video.src = url;
  else say("This browser cannot play HLS itself, and hls.js is not installed: run make setup on the server.");
}

function playWithHlsJs(url) {
  hls = new window.Hls({ liveSyncDurationCount: 3, backBufferLength: 30 });
  hls.on(window.Hls.Events.ERROR, (_event, data) => {
    const refused = data.details === window.Hls.ErrorDetails.KEY_LOAD_ERROR && [401, 403].includes(data.response?.code);
    if (!data.fatal && !refused) return;
    if (data.type === window.Hls.ErrorTypes.MEDIA_ERROR && !retry) return hls.recoverMediaError();
    again(sentence(data.response?.code, data.details));
  });
  hls.loadSource(url);
  hls.attachMedia(video);
}

function sentence(status, details) {
  if (status === 401 || status === 403) return "This stream needs a token: open this page with ?token= and a token for it.";
  if (status === 404) return "This stream is not live yet. The player starts by itself when it is.";
  if (status === 422) return "This is not a valid stream key.";
  if (status === 503) return "The recording cannot be reached now. Trying again …";
  return `The stream cannot be played (${details || "unknown error"}). Trying again …`;
}

async function nativeError() {
  if (!playing || hls) return;
  const answer = await fetch(address(playing)).catch(() => null);
  again(sentence(answer?.ok ? 0 : answer?.status, video.error?.message));
}

function again(why) {
  stop();
  say(why);
  retry = setTimeout(() => { retry = 0; show(); }, RETRY_AFTER);
}

function stop() {
  clearTimeout(retry);
  retry = 0;
  playing = "";
  over = false;
  hls?.destroy();
  hls = null;
  if (video.hasAttribute("src")) { video.removeAttribute("src"); video.load(); }
}

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

function showTrouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

// ---- start

video.addEventListener("playing", () => say(""));
video.addEventListener("ended", () => { over = true; say("The broadcast has ended."); });
video.addEventListener("error", nativeError);
window.addEventListener("popstate", () => choose(keyInAddress(), false));
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
$("copy").addEventListener("click", async () => {
  await navigator.clipboard?.writeText($("url").textContent);
  $("copy").textContent = "Copied";
  setTimeout(() => { $("copy").textContent = "Copy address"; }, 1500);
});
keepPolling();
