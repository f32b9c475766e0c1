// The operations on /v1/exports: work behind the request. Ordered, asked about until it is done, and fetched.

import { send, uncached } from './http.js';

const PATIENCE_MS = 1000; // between two questions, where the service names no time

// Milliseconds until one may ask again.
export function wait(response) {
  const seconds = Number(response.headers['Retry-After']);
  return seconds > 0 ? seconds * 1000 : PATIENCE_MS;
}

export function order() {
  const response = send('POST', 'POST /v1/exports', '/v1/exports', { body: { kind: 'users', form: 'ndjson' } });
  const body = (answer) => {
    if (answer.json('data.state') !== 'waiting') {
      return 'other state';
    }
    if (!(answer.headers.Location || '').endsWith(`/v1/exports/${answer.json('data.id')}`)) {
      return 'no location';
    }
    return answer.headers['Retry-After'] ? '' : 'no retry-after';
  };
  return { response, wanted: { statuses: [202], body } };
}

export function ask(id) {
  const response = send('GET', 'GET /v1/exports/:id', `/v1/exports/${id}`, { headers: uncached });
  const body = (answer) => {
    if (answer.json('data.id') !== id) {
      return 'other export';
    }
    if (answer.json('data.state') === 'done') {
      return answer.json('data.links.content') ? '' : 'no file';
    }
    return answer.headers['Retry-After'] ? '' : 'no retry-after';
  };
  return { response, wanted: { statuses: [200], body } };
}

// `rows`: how many the export said that it has; `least`: how many there must be.
export function fetch(path, rows, least) {
  const response = send('GET', 'GET /v1/exports/:id/content', path, { headers: { Accept: 'application/x-ndjson' } });
  const body = (answer) => {
    const lines = answer.body.trimEnd().split('\n');
    if (lines.length !== rows) {
      return 'other number of rows';
    }
    if (rows < least) {
      return 'too few rows';
    }
    return typeof JSON.parse(lines[rows - 1]).email === 'string' ? '' : 'no user';
  };
  return { response, wanted: { statuses: [200], body } };
}
