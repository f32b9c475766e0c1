// The operations on /v1/tokens: coming in with a password, staying in, and being refused.

import { problem, send, uncached } from './http.js';
import { settings } from './settings.js';
import { sameUser } from './users.js';

const password = (user) => `only in load tests ${user.email}`;

export function setPassword(user) {
  const response = send('PUT', 'PUT /v1/users/:id/password', `/v1/users/${user.id}/password`, {
    body: { password: password(user), role: 'viewer' },
  });
  return { response, wanted: { statuses: [204], body: () => '' } };
}

// Whether the answer holds two tokens.
function isSession(response) {
  const session = response.json('data');
  if (!session || !session.access_token || !session.refresh_token) {
    return 'no tokens';
  }
  return (response.headers['Cache-Control'] || '').includes('no-store') ? '' : 'tokens may be stored';
}

export function logIn(user, right) {
  const body = { email: user.email, password: right ? password(user) : 'not the password' };
  const response = send('POST', 'POST /v1/tokens', '/v1/tokens', { body, token: null });
  return { response, wanted: right ? { statuses: [200], body: isSession } : { statuses: [401], body: problem } };
}

export function renew(session) {
  const body = { refresh_token: session.refresh };
  const response = send('POST', 'POST /v1/tokens/refresh', '/v1/tokens/refresh', { body, token: null });
  return { response, wanted: { statuses: [200], body: isSession } };
}

// Reads the session's user with its own token; without one, with the wrapper's.
export function readAs({ user, access }) {
  const response = send('GET', 'GET /v1/users/:id', `/v1/users/${user.id}`, { headers: uncached, token: access || settings.token });
  return { response, wanted: { statuses: [200], body: (answer) => sameUser(answer, user.email, user.id) } };
}
