// The dashboard: what is live, how well, and what to do.

import { showMachine, troubles } from "/static/machine.js";
import { $, put, startFeed } from "/static/page.js";
import { showTiles, showUptimes } from "/static/tiles.js";
import { headline, stateName } from "/static/words.js";

const MANY = 7; // from so many streams on, finding one by its key helps
const feed = startFeed();
const states = new Map(); // key -> the state that was announced
let hasBegun = false;
let isDue = false;

function show() {
  isDue = false;
  const streams = [...feed.streams.values()];
  put($("headline"), headline(streams));
  document.title = `${headline(streams)} – StreamKit`;
  $("filter-box").hidden = streams.length < MANY && !$("filter").value;
  $("empty").hidden = streams.length > 0;
  showTiles(feed, $("filter").value.trim().toLowerCase());
  showUptimes(feed);
  announce(streams);
}

// A second's events come together: the page is drawn once for all of them.
function showSoon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(show);
}

function announce(streams) {
  const news = streams
    .filter((stream) => hasBegun && states.get(stream.stream_key) !== stream.state)
    .map((stream) => `${stream.stream_key}: ${stateName(stream)}`);
  const keys = new Set(streams.map((stream) => stream.stream_key));
  for (const key of states.keys()) if (!keys.has(key)) states.delete(key);
  for (const stream of streams) states.set(stream.stream_key, stream.state);
  hasBegun = true;
  if (news.length) put($("announcer"), news.slice(0, 3).join(". "));
}

function showService() {
  showMachine(feed.service);
  const found = troubles(feed.service);
  $("trouble").hidden = !found.length;
  put($("trouble"), found.join(" "));
}

feed.addEventListener("streams", showSoon);
feed.addEventListener("service", showService);
$("filter").addEventListener("input", showSoon);
setInterval(() => showUptimes(feed), 1000);
