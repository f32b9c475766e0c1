// How every request is sent, and checks of answers that all resources share.

import http from 'k6/http';
import { settings } from './settings.js';

export const uncached = { 'Cache-Control': 'no-cache' };

let sent = 0;

// Of each request its own: logs, audit and traces of the service tell of it by this (`slipway logs --request ID`).
const identifier = () => `${settings.runId}-${__VU}-${sent++}`;

// `name` keeps ids out of the labels; no redirect is followed, so each iteration is one request. `token` instead of the
// wrapper's own; null sends none.
export function send(method, name, path, { body = null, key = '', headers = {}, token = settings.token } = {}) {
  const all = Object.assign({ Accept: 'application/json', 'X-Request-ID': identifier() }, body === null ? {} : { 'Content-Type': 'application/json' }, headers);
  if (key) {
    all['Idempotency-Key'] = key;
  }
  if (token) {
    all.Authorization = `Bearer ${token}`;
  }
  const options = { headers: all, redirects: 0, timeout: settings.limitMs, tags: { name } };
  return http.request(method, `${settings.baseUrl}${path}`, body === null ? null : JSON.stringify(body), options);
}

export function problem(response) {
  const type = response.headers['Content-Type'] || '';
  if (!type.startsWith('application/problem+json')) {
    return 'no problem+json';
  }
  return response.json('status') === response.status ? '' : 'other status';
}
