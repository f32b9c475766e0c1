// What "failed" means, in one place and without effects: a transport error, an answer after the limit, an unexpected status,
// a failed check of the body, or a request that the HTTP library sent twice. Dropped iterations are k6's own count.

// Go's HTTP client sends a request again by itself, without telling, if a reused connection breaks before the first byte
// of an answer and the request is a GET or carries an Idempotency-Key. This generator must never retry, so such a request
// counts as failed. Our ingress names the client's connection in each answer: if k6 says that nothing was dialled and yet
// the answer came over another connection than the last one, the library dialled and sent again.
const CONNECTION = 'Slipway-Connection';
// Without that header the timings tell: both the wait for a connection and the sending took as long as a new connection
// takes. On a machine that is out of breath this finds one in some thousands that was not sent twice.
const RESENT_BLOCKED_MS = 0.5;

// The connection that an answer came over, '' if the ingress does not say.
export const connectionOf = (response) => response.headers[CONNECTION] || '';

// `last`: the connection of this user's answer before, '' if there was none.
export function wasResent(response, last) {
  const timings = response.timings;
  if (timings.connecting !== 0 || timings.tls_handshaking !== 0) {
    return false;
  }
  const connection = connectionOf(response);
  if (connection) {
    return last !== '' && connection !== last;
  }
  return timings.blocked > RESENT_BLOCKED_MS && timings.sending >= timings.blocked;
}

// The reason why an answer counts as failed, or '' if it does not. `wanted` = {statuses, body}; `body` returns a reason or ''.
export function fault(response, wanted, limitMs, lastConnection = '') {
  if (response.error_code === 1050) {
    return 'slow';
  }
  if (response.status === 0) {
    return `transport ${response.error_code}`;
  }
  if (response.timings.blocked + response.timings.duration > limitMs) {
    return 'slow';
  }
  if (!wanted.statuses.includes(response.status)) {
    return `status ${response.status}`;
  }
  if (wasResent(response, lastConnection)) {
    return 'resent';
  }
  let wrong;
  try {
    wrong = wanted.body(response);
  } catch (error) {
    wrong = 'not readable';
  }
  return wrong ? `body ${wrong}` : '';
}

// Which column an answer goes to: ok | failed | unkeyed_failed | allowed.
export function column(reason, response, kind, allow503) {
  if (!reason) {
    return 'ok';
  }
  if (allow503 && kind !== 'read' && response.status === 503 && response.headers['Retry-After']) {
    return 'allowed';
  }
  return kind === 'unkeyed' ? 'unkeyed_failed' : 'failed';
}
