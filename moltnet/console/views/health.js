// How the network and this connection are: warnings, and what the server counts, over the time that the view is open.

import * as api from "../lib/api.js";
import { html, outwardLink, useEffect, useState } from "../lib/html.js";
import { useCalmSlices, useSlices } from "../lib/store.js";
import { Empty, Note, Panel, Problem } from "../parts/bits.js";
import { isAdmin, model, whyNotAdmin } from "../state/model.js";

const EVERY_MS = 2_000;
const KEPT_SAMPLES = 150;
const CALM_MS = 1_000;
const WIDTH = 240;
const HEIGHT = 48;

/** The sum of a metric's series in Prometheus's text, of those with a label if there is one. */
function readMetric(text, name, label = "") {
  let sum = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith(name) || !/[ {]/.test(line[name.length] ?? "")) continue;
    if (!label || line.includes(label)) sum += Number(line.slice(line.lastIndexOf(" ") + 1)) || 0;
  }
  return sum;
}

const PLOTS = [
  ["messages per second", (text) => readMetric(text, "moltnet_events_published_total", 'type="message.created"'), "rate"],
  ["requests per second", (text) => readMetric(text, "moltnet_http_requests_total"), "rate"],
  ["CPU share, %", (text) => 100 * readMetric(text, "process_cpu_seconds_total"), "rate"],
  ["memory, MB", (text) => readMetric(text, "process_resident_memory_bytes") / 1e6, "value"],
  ["attached agents", (text) => readMetric(text, "moltnet_active_attachments"), "value"],
  ["event streams", (text) => readMetric(text, "moltnet_active_sse_subscribers"), "value"],
  ["wakes waiting", (text) => readMetric(text, "moltnet_pending_wakes"), "value"],
  ["changes waiting for the storage", (text) => readMetric(text, "moltnet_journal_waiting_commands"), "value"],
  ["event loop, ms behind", (text) => 1e3 * readMetric(text, "moltnet_trio_round_seconds"), "value"],
];

export function HealthView() {
  useSlices("network", "stream", "session");
  useCalmSlices(CALM_MS, "events");
  const { samples, error } = useSamples();
  const warnings = model.network.warnings ?? [];
  const newest = samples.at(-1);
  return html`<${Panel} title="network">
      ${warnings.length === 0 && html`<${Empty}>The network reports no warnings.<//>`}
      <ul class="cards warnings-list">${warnings.map(({ severity, code, message, action, docs_url }) => html`<li class="card" key=${code}>
        <p class="problem">${severity}: ${message || code}</p><p>${action} ${docs_url && outwardLink(docs_url, "read more")}</p>
      </li>`)}</ul>
      <dl class="facts">
        <dt>version</dt><dd>${model.network.version}</dd>
        <dt>stream</dt><dd>${model.stream.state}</dd>
        <dt>last event came after</dt><dd>${model.events.length > 0 ? `${Math.round(model.stream.lagMs)} ms, by the clocks of both` : "—"}</dd>
        <dt>storage</dt><dd>${newest ? (newest.takesWrites ? "takes writes" : "does not take writes") : "—"}</dd>
      </dl>
      <div class="plots">
        <${Plot} title="events here per second" values=${everySecond("count")} />
        <${Plot} title="event lag, ms" values=${everySecond("lagMs")} />
      </div>
    <//>
    <${Panel} title="server">
      <${Note} why=${!isAdmin() && `What the server counts: ${whyNotAdmin()}`} />
      ${error && html`<${Problem} error=${error} />`}
      <div class="plots">${isAdmin() && PLOTS.map(([title, , kind], index) => html`<${Plot} key=${title} title=${title} values=${seriesOf(samples, index, kind)} />`)}</div>
    <//>`;
}

/** A value of the last two minutes, also of the seconds in which nothing came. */
function everySecond(name) {
  const bySecond = new Map(model.stream.perSecond.map((each) => [each.second, each[name]]));
  const now = Math.floor(Date.now() / 1_000);
  return Array.from({ length: 120 }, (_, ago) => bySecond.get(now - 119 + ago) ?? 0);
}

function useSamples() {
  const [state, setState] = useState({ samples: [], error: "" });
  useEffect(() => {
    if (!isAdmin()) return undefined;
    let isOpen = true;
    let timer = 0;
    const sample = async () => {
      try {
        const text = await api.getMetrics();
        const takesWrites = readMetric(text, "moltnet_store_health") === 1;
        const taken = { at: performance.now() / 1_000, takesWrites, values: PLOTS.map(([, read]) => read(text)) };
        if (isOpen) setState(({ samples }) => ({ samples: [...samples.slice(1 - KEPT_SAMPLES), taken], error: "" }));
      } catch (problem) {
        if (isOpen) setState(({ samples }) => ({ samples, error: problem.message }));
      }
      if (isOpen) timer = setTimeout(sample, EVERY_MS);
    };
    sample();
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, []);
  return state;
}

function seriesOf(samples, index, kind) {
  if (kind === "value") return samples.map(({ values }) => values[index]);
  return samples.slice(1).map(({ at, values }, before) => {
    // A server that was started again counts from the beginning.
    return Math.max(0, values[index] - samples[before].values[index]) / (at - samples[before].at);
  });
}

function Plot({ title, values }) {
  const most = Math.max(1e-9, ...values);
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1)}`);
  const now = values.length > 0 ? shortNumber(values.at(-1)) : "—";
  return html`<figure class="plot">
    <figcaption><span>${title}</span> <strong>${now}</strong></figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${title}: now ${now}, at most ${shortNumber(most)}">
      ${points.length > 1 && html`<polygon points=${`0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`} />`}
      <polyline points=${points.join(" ")} />
    </svg>
  </figure>`;
}

const shortNumber = (value) => (value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(2));
