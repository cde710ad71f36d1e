// What the pages for operators have in common: the state of the connection, and the way to the login.

import { Feed } from "/static/feed.js";

export const $ = (id) => document.getElementById(id);

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

// Changes a text only where it is another one, so that nothing is announced, selected or laid out anew for nothing.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function putTone(node, tone) {
  if ((node.dataset.tone || "") !== tone) node.dataset.tone = tone;
}

export function startFeed() {
  const feed = new Feed();
  const link = (state, text) => { $("link").dataset.state = state; put($("link-text"), text); };
  feed.addEventListener("open", () => link("open", "Up to date"));
  feed.addEventListener("lost", (event) => link("lost", event.detail));
  feed.addEventListener("refused", () => location.assign(`/login?next=${encodeURIComponent(location.pathname)}`));
  window.addEventListener("pagehide", () => feed.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) feed.open(); });
  feed.open();
  return feed;
}
