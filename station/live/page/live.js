// Plays a device's stream through Media Source Extensions, and says what is known about what it shows.
// The stream: two big-endian lengths, a JSON object, and bytes of a fragmented MP4; again and again.

const at = (id) => document.getElementById(id);
const show = (id, text, good) => {
  const field = at(id);
  field.textContent = text;
  field.className = good === undefined ? "" : good ? "good" : "bad";
};
const BEHIND_S = 1.5;
const KEEP_S = 20;

function log(text) {
  const line = document.createElement("li");
  line.textContent = `${new Date().toLocaleTimeString()} ${text}`;
  at("log").prepend(line);
  while (at("log").children.length > 100) at("log").lastChild.remove();
}

// The codecs parameter (RFC 6381) as the recording's own header has it.
function codecs(init) {
  const find = (name) => {
    const codes = [...name].map((letter) => letter.charCodeAt(0));
    for (let i = 0; i + 8 < init.length; i++) if (codes.every((code, j) => init[i + j] === code)) return i;
    return -1;
  };
  const avcc = find("avcC");
  const hex = [5, 6, 7].map((offset) => init[avcc + offset].toString(16).padStart(2, "0")).join("");
  return `video/mp4; codecs="avc1.${hex}${find("mp4a") >= 0 ? ", mp4a.40.2" : ""}"`;
}

class Player {
  constructor(video) {
    this.video = video;
    this.queue = [];
    this.buffer = null;
  }

  begin(init) {
    const type = codecs(init);
    this.queue = [init];
    this.buffer = null;
    const source = new MediaSource();
    source.addEventListener("sourceopen", () => {
      if (this.source !== source) return;
      this.buffer = source.addSourceBuffer(type);
      this.buffer.addEventListener("updateend", () => this.feed());
      this.feed();
    }, { once: true });
    this.source = source;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(source);
    this.video.src = this.url;
  }

  push(data) {
    this.queue.push(data);
    this.feed();
  }

  feed() {
    const buffer = this.buffer;
    if (!buffer || buffer.updating || this.source.readyState !== "open") return;
    this.follow();
    const ranges = buffer.buffered;
    if (ranges.length && this.video.currentTime - ranges.start(0) > KEEP_S) {
      buffer.remove(0, this.video.currentTime - KEEP_S / 2);
      return;
    }
    if (this.queue.length) buffer.appendBuffer(this.queue.shift());
  }

  // Stay at the live edge, and step over holes: they are said, not hidden.
  follow() {
    const ranges = this.buffer.buffered;
    if (!ranges.length) return;
    const last = ranges.length - 1;
    const now = this.video.currentTime;
    if (now < ranges.start(last) || ranges.end(last) - now > BEHIND_S) {
      this.video.currentTime = Math.max(ranges.start(last), ranges.end(last) - 0.2);
    }
    if (this.video.paused) this.video.play().catch(() => {});
  }
}

const player = new Player(at("video"));
let chosen = null;
let watching = null;
let missing = 0;

function take(about, data) {
  const veil = (text) => { at("veil").textContent = text; at("veil").hidden = !text; };
  at("preview").hidden = about.kind !== "preview";
  switch (about.kind) {
    case "init":
      missing = 0;
      player.begin(data);
      veil("");
      log(`recording ${about.recording.slice(0, 8)} begins`);
      break;
    case "media":
    case "preview":
      player.push(data);
      veil("");
      show("verified", about.verified ? "verified" : "NOT VERIFIED", about.verified);
      show("light", lightText(about), about.commanded === "lit" && about.sensed !== "dark");
      show("latency", `${Math.round(about.latency_ms)} ms`);
      show("captured", `${new Date(about.captured_utc_ms).toLocaleTimeString()} (${about.clock_source})`);
      show("chunk", `${about.segment} / ${about.chunk}`);
      break;
    case "gap":
      missing += about.lost;
      log(`${about.lost} chunk(s) before ${about.segment}/${about.chunk} did not arrive; the device has them`);
      break;
    case "ended":
      veil(about.text || "Live view ended.");
      show("verified", "–");
      log(about.text);
      break;
  }
  show("missing", `${missing} chunk(s)`, missing ? false : undefined);
}

const lightText = (about) =>
  `${about.commanded}${about.sensed === "unsensed" ? ", no sense line" : `, sensed ${about.sensed}`}`;

async function watch(device) {
  watching?.abort();
  const control = watching = new AbortController();
  chosen = device;
  at("ask").disabled = false;
  at("veil").textContent = "Nothing is streamed at the moment.";
  at("veil").hidden = false;
  try {
    const answer = await fetch(`devices/${device}/stream`, { signal: control.signal });
    if (!answer.ok) throw new Error(await answer.text());
    const reader = answer.body.getReader();
    let rest = new Uint8Array(0);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const joined = new Uint8Array(rest.length + value.length);
      joined.set(rest);
      joined.set(value, rest.length);
      rest = joined;
      for (;;) {
        if (rest.length < 8) break;
        const view = new DataView(rest.buffer, rest.byteOffset);
        const head = view.getUint32(0), body = view.getUint32(4);
        if (rest.length < 8 + head + body) break;
        const about = JSON.parse(new TextDecoder().decode(rest.subarray(8, 8 + head)));
        take(about, rest.slice(8 + head, 8 + head + body));
        rest = rest.slice(8 + head + body);
      }
    }
    throw new Error("the receiver ended");
  } catch (error) {
    if (!control.signal.aborted) {
      at("veil").textContent = `${error.message}: trying again`;
      at("veil").hidden = false;
      setTimeout(() => chosen === device && watch(device), 2000);
    }
  }
}

function paint(status) {
  at("link").textContent = status.connected ? "broker connected" : `broker not there: ${status.trouble}`;
  const list = at("devices");
  for (const device of status.devices) {
    let button = list.querySelector(`[data-device="${device.device}"]`);
    if (!button) {
      button = document.createElement("button");
      button.dataset.device = device.device;
      button.append(document.createElement("code"), document.createElement("span"));
      button.addEventListener("click", () => watch(device.device));
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
    }
    button.setAttribute("aria-current", String(device.device === chosen));
    button.children[0].textContent = device.device.slice(0, 16);
    const battery = device.health?.battery_percent;
    button.children[1].textContent = [
      device.online ? device.health?.state ?? "online" : "offline",
      device.live ? (device.preview ? "PREVIEW" : "LIVE") : "",
      battery === null || battery === undefined ? "" : `battery ${battery} %`,
    ].filter(Boolean).join(" · ");
    if (device.device === chosen) {
      show("refused", String(device.refused ?? 0), device.refused ? false : undefined);
      const answers = Object.values(device.answers ?? {});
      if (answers.length) at("answer").textContent = `answer: ${answers[answers.length - 1]}`;
      for (const text of (device.last_refusals ?? []).slice(seen[chosen] ?? 0)) log(`refused: ${text}`);
      seen[chosen] = (device.last_refusals ?? []).length;
    }
  }
  const only = status.devices.filter((device) => device.live);
  if (!chosen && only.length === 1) watch(only[0].device);
}
const seen = {};

at("ask").addEventListener("click", async () => {
  const answer = await fetch(`devices/${chosen}/ask`, { method: "POST", headers: { "X-Getuige": "1" } });
  at("answer").textContent = answer.ok ? "asked; the officer decides" : await answer.text();
});

async function poll() {
  try {
    const answer = await fetch("status");
    if (!answer.ok) throw new Error(await answer.text());
    paint(await answer.json());
  } catch (error) {
    at("link").textContent = `receiver not there: ${error.message}`;
  }
  setTimeout(poll, 1000);
}
poll();
