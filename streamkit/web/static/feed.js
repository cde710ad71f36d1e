// The service's events: what is known of every stream and of the machine, kept up to date.

const PATH = "/stats/events";
const RETRY_AFTER = 5000; // ms

export class Feed extends EventTarget {
  streams = new Map();
  service = null;
  clockAhead = 0; // ms that the server's clock is ahead of this one
  #source = null;
  #retry = 0;

  open() {
    this.#source = new EventSource(PATH);
    this.#source.addEventListener("all", (event) => this.#replace(JSON.parse(event.data)));
    this.#source.addEventListener("stream", (event) => this.#put(JSON.parse(event.data)));
    this.#source.addEventListener("gone", (event) => this.#drop(JSON.parse(event.data).stream_key));
    this.#source.addEventListener("service", (event) => { this.service = JSON.parse(event.data); this.#tell("service"); });
    this.#source.addEventListener("error", () => this.#lost());
  }

  close() {
    clearTimeout(this.#retry);
    this.#source?.close();
  }

  secondsSince(time) {
    return (Date.now() + this.clockAhead - Date.parse(time)) / 1000;
  }

  #replace(all) {
    this.clockAhead = Date.parse(all.time) - Date.now();
    this.streams = new Map(all.streams.map((stream) => [stream.stream_key, stream]));
    this.#tell("open");
    this.#tell("streams");
  }

  #put(stream) {
    this.streams.set(stream.stream_key, stream);
    this.#tell("streams");
  }

  #drop(key) {
    this.streams.delete(key);
    this.#tell("streams");
  }

  async #lost() {
    this.#tell("lost", "Connection lost, trying again …");
    if (this.#source.readyState !== EventSource.CLOSED) return; // the browser tries by itself
    const answer = await fetch(PATH, { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401) return this.#tell("refused");
    if (answer?.status === 503) this.#tell("lost", "Too many people watch, trying again …");
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.open(), RETRY_AFTER);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
