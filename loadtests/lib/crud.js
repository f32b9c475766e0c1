// The operations on users, as parts of a mix. Each VU remembers what it made, and removes only that.

import * as users from './users.js';

const KEPT = 50; // users that one VU remembers to delete
const HOT = 5; // users that everyone reads
const mine = [];

function createOne(mark, key) {
  const user = users.newUser(mark);
  const remember = (response) => {
    if (mine.length < KEPT) {
      mine.push({ id: response.json('data.id'), email: user.email });
    }
  };
  return Object.assign(users.create(user, key), { then: remember });
}

// Without a user to work on.
const none = (name) => (data) => (data.seeds.length === 0 ? name : '');

export const crud = {
  read: { kind: 'uncached', instead: none('list'), run: (it) => users.read(it.seed, true) },
  hot: { kind: 'cached', instead: none('list'), run: (it) => users.read(it.seeds[it.iteration % Math.min(HOT, it.seeds.length)], false) },
  list: { kind: 'uncached', run: () => users.list() },
  missing: { kind: 'uncached', run: () => users.missing() },
  invalid: { kind: 'keyed', run: (it) => users.invalid(it.key) },
  create: { kind: 'keyed', run: (it) => createOne(it.iteration, it.key) },
  replace: { kind: 'keyed', instead: none('create'), run: (it) => users.replace(it.seed, `Replaced ${it.iteration}`, it.key) },
  edit: { kind: 'keyed', instead: none('create'), run: (it) => users.edit(it.seed, `Edited ${it.iteration}`, it.key) },
  // A repeated DELETE answers 404, so nobody may repeat it on the way: it carries no key.
  remove: { kind: 'unkeyed', instead: () => (mine.length === 0 ? 'create_unkeyed' : ''), run: () => users.remove(mine.shift()) },
  create_unkeyed: { kind: 'unkeyed', run: (it) => createOne(it.iteration, '') },
};
