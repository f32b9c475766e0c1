// Entry of every run: a scenario (what is sent) under a workload (how much), both named by the wrapper.

import http from 'k6/http';
import { settings } from './lib/settings.js';
import { seed } from './lib/steps.js';
import { crud } from './scenarios/crud.js';
import { page } from './scenarios/page.js';
import { smoke } from './scenarios/smoke.js';
import { constant } from './workloads/constant.js';
import { stairs } from './workloads/stairs.js';

function pick(kind, known, name) {
  if (!Object.hasOwn(known, name)) {
    throw new Error(`unknown ${kind} ${name}; known: ${Object.keys(known).join(', ')}`);
  }
  return known[name];
}

const scenario = pick('scenario', { crud, page, smoke }, settings.scenario);
const workload = pick('workload', { constant, stairs }, settings.workload);

http.setResponseCallback(null); // what is expected is judged in lib/judge.js

const zero = { threshold: 'count==0', abortOnFail: settings.stopOnFailure };

export const options = {
  scenarios: { [settings.scenario]: workload(settings) },
  hosts: settings.hosts,
  insecureSkipTLSVerify: false,
  noConnectionReuse: false,
  noVUConnectionReuse: false,
  maxRedirects: 0,
  userAgent: 'slipway-loadtest',
  setupTimeout: '120s',
  systemTags: ['scenario', 'method', 'name', 'status', 'error_code'],
  summaryTrendStats: ['avg', 'min', 'med', 'p(95)', 'p(99)', 'max', 'count'],
  thresholds: Object.assign(
    {
      slipway_requests: [`count>=${settings.minRequests}`], // with no traffic at all every other threshold passes
      slipway_failed: [zero],
      dropped_iterations: [zero],
    },
    settings.unkeyedApart ? {} : { slipway_unkeyed_failed: [zero] },
  ),
};

// Only what reads users needs some to be there.
export const setup = settings.scenario === 'page' ? () => ({ seeds: [] }) : seed;

export default function (data) {
  scenario(data);
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
