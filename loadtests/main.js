// Entry of every run: a scenario (what is sent), named by the wrapper, under its workload (how much).

import exec from 'k6/execution';
import http from 'k6/http';
import { settings } from './lib/settings.js';
import { executor } from './lib/workload.js';
import { followed } from './scenarios/async.js';
import { crud } from './scenarios/crud.js';
import { login } from './scenarios/login.js';
import { page } from './scenarios/page.js';
import { readMostly } from './scenarios/read_mostly.js';
import { search } from './scenarios/search.js';
import { smoke } from './scenarios/smoke.js';

const known = { async: followed, crud, login, page, 'read-mostly': readMostly, search, smoke };
if (!Object.hasOwn(known, settings.scenario)) {
  throw new Error(`unknown scenario ${settings.scenario}; known: ${Object.keys(known).join(', ')}`);
}
const scenario = known[settings.scenario];

http.setResponseCallback(null); // what is expected is judged in lib/judge.js

// More than this of failed or dropped requests ends a run that looks for its breaking point.
const broken = settings.breaksAt ? [{ threshold: `count<${settings.breaksAt}`, abortOnFail: true }] : [];
const zero = [{ threshold: 'count==0', abortOnFail: settings.stopOnFailure }, ...broken];

// Each kind of the mix was really sent: what never happened passes every other threshold. A hundred iterations walk the whole
// mix, so the last hundred may be cut anywhere.
function mixGuards() {
  const counters = { uncached: 'slipway_uncached_reads', cached: 'slipway_cached_reads', keyed: 'slipway_keyed_writes', unkeyed: 'slipway_unkeyed_writes' };
  const guards = {};
  for (const [kind, share] of Object.entries(scenario.shares)) {
    const least = Math.floor(share * (settings.minRequests - 100));
    if (least > 0) {
      guards[counters[kind]] = [`count>=${least}`];
    }
  }
  return guards;
}

export const options = {
  scenarios: { [settings.scenario]: executor(settings) },
  hosts: settings.hosts,
  insecureSkipTLSVerify: false,
  noConnectionReuse: settings.reconnect,
  noVUConnectionReuse: false,
  maxRedirects: 0,
  userAgent: 'slipway-loadtest',
  setupTimeout: '120s',
  tags: settings.tagRun ? { run: settings.runId } : {}, // tells runs apart where figures of many lie together
  systemTags: ['scenario', 'method', 'name', 'status', 'error_code'],
  summaryTrendStats: ['avg', 'min', 'med', 'p(95)', 'p(99)', 'max', 'count'],
  thresholds: Object.assign(
    {
      slipway_requests: [`count>=${settings.minRequests}`], // with no traffic at all every other threshold passes
      slipway_failed: zero,
      dropped_iterations: zero,
    },
    mixGuards(),
    scenario.guards || {},
    settings.unkeyedApart ? {} : { slipway_unkeyed_failed: zero },
  ),
};

export const setup = scenario.setup;

export default function (data) {
  // In the tail only what is late begins: a planned request too few would look like one that nobody could send.
  if (!settings.most || exec.scenario.iterationInTest < settings.most) {
    scenario.step(data);
  }
}

export function handleSummary(data) {
  const metrics = {};
  for (const [name, metric] of Object.entries(data.metrics)) {
    const thresholds = {};
    for (const [expression, result] of Object.entries(metric.thresholds || {})) {
      thresholds[expression] = result.ok; // true: it held
    }
    metrics[name] = { type: metric.type, values: metric.values, thresholds };
  }
  const summary = { schema: 1, run: settings.runId, milliseconds: data.state.testRunDurationMs, metrics };
  return { [settings.summary]: `${JSON.stringify(summary, null, 1)}\n` };
}
