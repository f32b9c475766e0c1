// The operations on /v1/users: what is sent, and what a right answer is. Nothing here knows which server answers.

import { problem, send, uncached } from './http.js';
import { settings } from './settings.js';

const ROOT = '/v1/users';
const MISSING = '00000000-0000-4000-8000-000000000000';
export const LIST_LIMIT = 20;

export function isUser(user) {
  return user && typeof user.id === 'string' && typeof user.name === 'string' && typeof user.email === 'string';
}

// The user in the body if it is the wanted one, else a reason.
export function sameUser(response, email, id) {
  const body = response.json();
  if (!body || !isUser(body.data)) {
    return 'no user';
  }
  if (!body.meta || typeof body.meta.request_id !== 'string' || body.meta.request_id === '') {
    return 'no request_id';
  }
  if (body.data.email !== email) {
    return 'other email';
  }
  return id === undefined || body.data.id === id ? '' : 'other id';
}

export const newUser = (mark) => ({ name: `Load ${mark}`, email: `load-${settings.runId}-${mark}@example.test` });

export function create(user, key) {
  const response = send('POST', 'POST /v1/users', ROOT, { body: user, key });
  const body = (answer) => {
    const wrong = sameUser(answer, user.email);
    if (wrong) {
      return wrong;
    }
    return (answer.headers.Location || '').endsWith(`/v1/users/${answer.json('data.id')}`) ? '' : 'no location';
  };
  return { response, wanted: { statuses: [201], body } };
}

export function read(user, fresh) {
  const response = send('GET', 'GET /v1/users/:id', `${ROOT}/${user.id}`, { headers: fresh ? uncached : {} });
  return { response, wanted: { statuses: [200], body: (answer) => sameUser(answer, user.email, user.id) } };
}

export function list() {
  const response = send('GET', 'GET /v1/users', `${ROOT}?limit=${LIST_LIMIT}`, { headers: uncached });
  const body = (answer) => {
    const users = answer.json('data');
    if (!Array.isArray(users) || users.length > LIST_LIMIT) {
      return 'no list';
    }
    return users.every(isUser) ? '' : 'no user';
  };
  return { response, wanted: { statuses: [200], body } };
}

export function replace(user, name, key) {
  const response = send('PUT', 'PUT /v1/users/:id', `${ROOT}/${user.id}`, { body: { name, email: user.email }, key });
  return { response, wanted: { statuses: [200], body: (answer) => sameUser(answer, user.email, user.id) } };
}

export function edit(user, name, key) {
  const response = send('PATCH', 'PATCH /v1/users/:id', `${ROOT}/${user.id}`, { body: { name }, key });
  return { response, wanted: { statuses: [200], body: (answer) => sameUser(answer, user.email, user.id) } };
}

export function remove(user) {
  const response = send('DELETE', 'DELETE /v1/users/:id', `${ROOT}/${user.id}`);
  return { response, wanted: { statuses: [204], body: (answer) => (answer.body ? 'not empty' : '') } };
}

export function missing() {
  const response = send('GET', 'GET /v1/users/:missing', `${ROOT}/${MISSING}`, { headers: uncached });
  return { response, wanted: { statuses: [404], body: problem } };
}

export function invalid(key) {
  const response = send('POST', 'POST /v1/users invalid', ROOT, { body: { name: '' }, key });
  return { response, wanted: { statuses: [400, 422], body: problem } };
}
