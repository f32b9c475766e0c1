// What "failed" means, in one place and without effects: a transport error, an answer after the limit, an unexpected status,
// a failed check of the body, or a request that the HTTP library sent twice. Dropped iterations are k6's own count.

// Go's HTTP client sends a request again by itself, without telling, if a reused connection breaks before the first byte
// of an answer and the request is a GET or carries an Idempotency-Key. This generator must never retry, so such a request
// counts as failed. It is seen by its timings: nothing was dialled as far as k6 knows, and yet both the wait for a connection
// and the sending took as long as a new connection takes. On a connection that is really reused, waiting takes microseconds.
const RESENT_BLOCKED_MS = 0.5;

export function wasResent(timings) {
  return (
    timings.connecting === 0 &&
    timings.tls_handshaking === 0 &&
    timings.blocked > RESENT_BLOCKED_MS &&
    timings.sending >= timings.blocked
  );
}

// The reason why an answer counts as failed, or '' if it does not. `wanted` = {statuses, body}; `body` returns a reason or ''.
export function fault(response, wanted, limitMs) {
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
  if (wasResent(response.timings)) {
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
