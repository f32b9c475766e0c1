// The check of a new version before its first user: k6 asks the preview host, which shows it while it has no weight.
//
// Exit codes, as the rollout controller reads them: 0 the version holds, 99 it does not. Anything else says nothing of the
// version, and pauses the rollout: the ingress gave no answer at all.

import http from 'k6/http';
import exec from 'k6/execution';

const paths = __ENV.PREVIEW_PATHS.split(',');
const failed = `http_req_failed{name:preview}`;
const duration = `http_req_duration{name:preview}`;

export const options = {
  scenarios: {
    preview: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.PREVIEW_RATE),
      timeUnit: '1s',
      duration: `${__ENV.PREVIEW_SECONDS}s`,
      preAllocatedVUs: 5,
      maxVUs: 50,
      gracefulStop: '10s',
    },
  },
  thresholds: {
    [failed]: [`rate<=${__ENV.PREVIEW_ERROR_RATIO}`],
    [duration]: [`p(95)<=${__ENV.PREVIEW_P95_MS}`],
  },
  insecureSkipTLSVerify: true, // it is the version that is judged; certificates are watched elsewhere
};

export default function preview() {
  const path = paths[exec.scenario.iterationInTest % paths.length];
  const answer = http.get(`${__ENV.PREVIEW_TARGET}${path}`, {
    headers: { Host: __ENV.PREVIEW_HOST },
    redirects: 0,
    timeout: '15s', // longer than the ingress waits: a version that does not answer is a 504 of its, not silence
    tags: { name: 'preview' },
  });
  if (answer.status === 0) {
    exec.test.abort(`the ingress did not answer: ${answer.error}`);
  }
}

// One line: it is what the rollout's message ends with when the check does not pass.
export function handleSummary(data) {
  const [ratio, times] = [failed, duration].map((name) => (data.metrics[name] || { values: {} }).values);
  const told = {
    requests: (data.metrics.iterations || { values: {} }).values.count,
    failed: ratio.rate,
    p95_ms: times['p(95)'],
  };
  return { stdout: `${JSON.stringify(told)}\n` };
}
