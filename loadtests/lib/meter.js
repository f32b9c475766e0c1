// Counters of our own: k6's count setup too, and know nothing of columns.

import { Counter, Trend } from 'k6/metrics';

const STATUSES = [0, 200, 201, 202, 204, 301, 302, 304, 307, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 428, 429, 500, 501, 502, 503, 504];

// Which of the two versions answered, if the service says so (docs/reference/service-contract.md).
const COLOUR = 'X-Slipway-Colour';
const VERSION = 'X-Slipway-Version';

const started = new Counter('slipway_started');
const requests = new Counter('slipway_requests');
const milliseconds = new Trend('slipway_ms', true);
const columns = {
  failed: new Counter('slipway_failed'),
  unkeyed_failed: new Counter('slipway_unkeyed_failed'),
  allowed: new Counter('slipway_allowed'),
};
const kinds = {
  uncached: new Counter('slipway_uncached_reads'),
  cached: new Counter('slipway_cached_reads'),
  keyed: new Counter('slipway_keyed_writes'),
  unkeyed: new Counter('slipway_unkeyed_writes'),
};
// Work behind the request, from its order until it was fetched.
const finished = new Counter('slipway_finished');
const finishedMilliseconds = new Trend('slipway_finished_ms', true);
const resent = new Counter('slipway_resent');
const statuses = {};
for (const status of STATUSES) {
  statuses[status] = new Counter(`slipway_status_${status}`);
}
const otherStatus = new Counter('slipway_status_other');

// Before the request: what was started and never counted was cut off by the end of the run.
export const countStart = () => started.add(1);

// One answer. The tags of the trend are what the wrapper reads from the stream, one sample a request.
export function count(operation, response, outcome, reason) {
  requests.add(1);
  kinds[operation.kind].add(1);
  (statuses[response.status] || otherStatus).add(1);
  if (outcome !== 'ok') {
    columns[outcome].add(1);
  }
  if (reason === 'resent') {
    resent.add(1);
  }
  milliseconds.add(response.timings.blocked + response.timings.duration, {
    op: operation.name,
    code: String(response.status),
    outcome,
    reason: reason || 'none',
    colour: response.headers[COLOUR] || 'none',
    version: response.headers[VERSION] || 'none',
  });
}

// A failure outside of any request, such as no seed users at all.
export function countFault(reason, op = 'setup') {
  columns.failed.add(1);
  milliseconds.add(0, { op, code: '0', outcome: 'failed', reason });
}

export function countFinished(took) {
  finished.add(1);
  finishedMilliseconds.add(took);
}
