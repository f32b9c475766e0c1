// What the wrapper asks of a run, read once from the environment. A missing or senseless value stops the run at its start.

function text(name, otherwise) {
  const value = __ENV[name];
  if (value !== undefined && value !== '') {
    return value;
  }
  if (otherwise === undefined) {
    throw new Error(`${name} is not set; start k6 through loadtests.k6, which sets it`);
  }
  return otherwise;
}

function number(name, otherwise) {
  const value = Number(text(name, otherwise));
  if (!Number.isFinite(value) || value < 0) {
    throw new Error(`${name} must be a number of at least 0, it is ${__ENV[name]}`);
  }
  return value;
}

const flag = (name) => text(name, '0') === '1';

export const settings = Object.freeze({
  baseUrl: text('SLIPWAY_BASE_URL'),
  scenario: text('SLIPWAY_SCENARIO'),
  stages: JSON.parse(text('SLIPWAY_STAGES')),
  rate: number('SLIPWAY_RATE'),
  seconds: number('SLIPWAY_SECONDS'),
  tail: number('SLIPWAY_TAIL', '0'),
  most: number('SLIPWAY_MOST', '0'),
  vus: number('SLIPWAY_VUS'),
  minRequests: number('SLIPWAY_MIN_REQUESTS'),
  limitMs: number('SLIPWAY_ANSWER_LIMIT_MS', '10000'),
  seeds: number('SLIPWAY_SEEDS', '40'),
  path: text('SLIPWAY_PATH', '/'),
  runId: text('SLIPWAY_RUN_ID'),
  summary: text('SLIPWAY_SUMMARY'),
  hosts: JSON.parse(text('SLIPWAY_HOSTS', '{}')),
  allow503: flag('SLIPWAY_ALLOW_503'),
  unkeyedApart: flag('SLIPWAY_UNKEYED_APART'),
  tagRun: flag('SLIPWAY_TAG_RUN'),
  reconnect: flag('SLIPWAY_RECONNECT'),
  stopOnFailure: flag('SLIPWAY_STOP_ON_FAILURE'),
  breaksAt: number('SLIPWAY_BREAKS_AT', '0'),
  token: text('SLIPWAY_TOKEN', ''),
});
