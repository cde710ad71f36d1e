// Numbers and states as people read them. Nothing here touches the page.

export const UNKNOWN = "–";

export function bits(rate) {
  if (!rate) return UNKNOWN;
  if (rate >= 1e6) return `${(rate / 1e6).toFixed(rate >= 1e8 ? 0 : 1)} Mbit/s`;
  return `${Math.round(rate / 1e3)} kbit/s`;
}

export function bytes(size) {
  if (size === null || size === undefined) return UNKNOWN;
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let step = 0;
  let left = size;
  while (left >= 1000 && step < units.length - 1) { left /= 1000; step += 1; }
  return `${left >= 100 || step === 0 ? Math.round(left) : left.toFixed(1)} ${units[step]}`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / 86400);
  const clock = [Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  return (days ? `${days} d ` : "") + clock.map((part) => String(part).padStart(2, "0")).join(":");
}

export const percent = (share) => (share === null || share === undefined ? UNKNOWN : `${Math.round(share * 100)} %`);
export const rate = (fps) => (fps ? String(Math.round(fps * 100) / 100) : UNKNOWN);

export function source(found) {
  if (!found) return "Waiting for picture or sound";
  const channels = { 1: "mono", 2: "stereo" }[found.channels] || `${found.channels} channels`;
  return [
    found.width ? `${found.width}×${found.height}` : "no picture",
    found.fps ? `${rate(found.fps)} fps` : "",
    codec(found.video_codec),
    found.video_bitrate ? bits(found.video_bitrate) : "",
    found.audio_codec ? `${codec(found.audio_codec)} ${found.sample_rate / 1000} kHz ${channels}` : "no sound",
  ].filter(Boolean).join(" · ");
}

const CODECS = { h264: "H.264", hevc: "HEVC", av1: "AV1", vp9: "VP9", aac: "AAC", mp3: "MP3", opus: "Opus", copy: "copied", libx264: "H.264", libx265: "HEVC" };
export const codec = (name) => (name ? CODECS[name] || name : "");

const STATES = {
  accepted: ["Accepted", "neutral"],
  connecting: ["Starting", "neutral"],
  live: ["Live", "good"],
  reconnecting: ["Waiting for the publisher", "warn"],
  finishing: ["Finishing", "neutral"],
  ended: ["Ended", "neutral"],
  failed: ["Failed", "bad"],
};
export const stateName = (stream) => (STATES[stream.state] || [stream.state])[0];

export const tones = {
  state: (stream) => (STATES[stream.state] || ["", "neutral"])[1],
  speed: (stream) => (stream.state === "live" && stream.speed > 0 && stream.speed < 0.95 ? "warn" : ""),
  lag: (stream) => (stream.upload_lag > 60 ? "bad" : stream.upload_lag > 15 ? "warn" : ""),
  lost: (stream) => (stream.segments_lost ? "bad" : ""),
};

// How well a stream is, all in all: "bad" and "warn" want somebody to look.
export function tone(stream) {
  const all = [tones.state(stream), tones.speed(stream), tones.lag(stream), tones.lost(stream)];
  if (stream.last_error || stream.shed.length || stream.slate) all.push("warn");
  return ["bad", "warn", "good"].find((one) => all.includes(one)) || "neutral";
}

export function headline(streams) {
  const live = streams.filter((stream) => stream.state === "live").length;
  const worried = streams.filter((stream) => ["bad", "warn"].includes(tone(stream))).length;
  if (!streams.length) return "Nobody is live";
  const first = live === 1 ? "1 stream is live" : `${live || "No"} streams are live`;
  if (!worried) return live ? `${first}, all is well` : first;
  return `${first}, ${worried === 1 ? "1 needs" : `${worried} need`} a look`;
}
