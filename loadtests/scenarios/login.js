// Who comes in: right and wrong passwords, tokens renewed and used. Each password costs a hash that is slow on purpose, so the
// service bears far less of this than of anything else. It needs a signing key, and an administrator's token to set the passwords.

import { mixOf } from '../lib/mix.js';
import { forEach, seed } from '../lib/seeds.js';
import { logIn, readAs, renew, setPassword } from '../lib/sessions.js';

const KEPT = 20; // sessions that one VU remembers
const sessions = [];

const remember = (user) => (response) => {
  if (sessions.length < KEPT) {
    sessions.push({ user, access: response.json('data.access_token'), refresh: response.json('data.refresh_token') });
  }
};

const entered = (user) => Object.assign(logIn(user, true), { then: remember(user) });

function renewed() {
  const session = sessions.shift(); // a refresh token works once
  return Object.assign(renew(session), { then: remember(session.user) });
}

const mix = mixOf(
  {
    log_in: { kind: 'unkeyed', run: (it) => entered(it.seed) },
    refuse: { kind: 'unkeyed', run: (it) => logIn(it.seed, false) },
    renew: { kind: 'unkeyed', instead: () => (sessions.length === 0 ? 'log_in' : ''), run: renewed },
    use: { kind: 'uncached', instead: () => (sessions.length === 0 ? 'read' : ''), run: () => readAs(sessions[sessions.length - 1]) },
    read: { kind: 'uncached', run: (it) => readAs({ user: it.seed }) },
  },
  { log_in: 40, refuse: 10, renew: 20, use: 30 },
);

export const login = Object.assign(mix, {
  setup: () => {
    const data = seed();
    forEach(data.seeds, 'set a password', setPassword);
    return data;
  },
});
