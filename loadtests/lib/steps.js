// One iteration is one request: so the arrival rate is the request rate, and a dropped iteration is a dropped request.

import exec from 'k6/execution';
import { sleep } from 'k6';
import { column, connectionOf, fault } from './judge.js';
import { count, countFault, countStart } from './meter.js';
import { settings } from './settings.js';
import * as users from './users.js';

const KEPT = 50; // users that one VU remembers to delete
const SEEN_WITHIN_SECONDS = 10; // a replica shows a new user after this at the latest, or setup counts a failure
const mine = [];
let connection = ''; // over which this VU's last answer came

// name -> kind. A kind says which column a failure goes to and what share of the mix it fills.
const OPERATIONS = {
  read: { kind: 'uncached' },
  list: { kind: 'uncached' },
  missing: { kind: 'uncached' },
  hot: { kind: 'cached' },
  page: { kind: 'uncached' },
  create: { kind: 'keyed' },
  replace: { kind: 'keyed' },
  edit: { kind: 'keyed' },
  invalid: { kind: 'keyed' },
  // A repeated DELETE answers 404, so nobody may repeat it on the way: it carries no key.
  remove: { kind: 'unkeyed' },
  create_unkeyed: { kind: 'unkeyed' },
};

// A mix {operation: parts of 100} as a table of 100 slots.
export function table(mix) {
  const slots = [];
  for (const [name, parts] of Object.entries(mix)) {
    if (!OPERATIONS[name]) {
      throw new Error(`unknown operation ${name} in a mix; known: ${Object.keys(OPERATIONS).join(', ')}`);
    }
    for (let part = 0; part < parts; part += 1) {
      slots.push(name);
    }
  }
  if (slots.length !== 100) {
    throw new Error(`a mix has 100 parts, this one has ${slots.length}`);
  }
  return slots;
}

export function judged(name, sent) {
  const operation = { name, kind: OPERATIONS[name].kind };
  const reason = fault(sent.response, sent.wanted, settings.limitMs, connection);
  connection = connectionOf(sent.response) || connection;
  const role = operation.kind === 'keyed' || operation.kind === 'unkeyed' ? operation.kind : 'read';
  count(operation, sent.response, column(reason, sent.response, role, settings.allow503), reason);
  return reason === '';
}

function remember(user, response) {
  if (mine.length < KEPT) {
    mine.push({ id: response.json('data.id'), email: user.email });
  }
}

function createOne(name, mark, key) {
  const user = users.newUser(mark);
  const sent = users.create(user, key);
  if (judged(name, sent)) {
    remember(user, sent.response);
  }
}

// Seed users, so that reads never depend on how far a replica is behind. Never throws: a service that answers nothing
// must end as failed requests, not as a fault of this script.
export function seed() {
  const seeds = [];
  for (let index = 0; index < settings.seeds; index += 1) {
    const user = users.newUser(`seed${index}`);
    const sent = users.create(user, `${settings.runId}-seed${index}`);
    if (fault(sent.response, sent.wanted, settings.limitMs)) {
      break;
    }
    seeds.push({ id: sent.response.json('data.id'), email: user.email });
  }
  if (seeds.length < settings.seeds) {
    countFault(`setup made ${seeds.length} of ${settings.seeds} seed users`);
    return { seeds };
  }
  const deadline = Date.now() + SEEN_WITHIN_SECONDS * 1000;
  for (const user of seeds) {
    while (users.read(user, true).response.status !== 200) {
      if (Date.now() > deadline) {
        countFault('setup seeds not readable');
        return { seeds };
      }
      sleep(0.2);
    }
  }
  return { seeds };
}

export function step(slots, data) {
  const iteration = exec.scenario.iterationInTest;
  // 37 has no factor in common with 100: each hundred iterations walk all slots, far apart.
  let name = slots[(iteration * 37) % slots.length];
  const key = `${settings.runId}-${iteration}`;
  const seeds = data.seeds;
  // Without a user to work on, an operation of the same kind stands in, so that the shares of the mix stay.
  if (seeds.length === 0 && (name === 'read' || name === 'hot')) {
    name = 'list';
  }
  if (seeds.length === 0 && (name === 'replace' || name === 'edit')) {
    name = 'create';
  }
  if (mine.length === 0 && name === 'remove') {
    name = 'create_unkeyed';
  }
  countStart();
  switch (name) {
    case 'read':
      judged(name, users.read(seeds[iteration % seeds.length], true));
      break;
    case 'hot':
      judged(name, users.read(seeds[iteration % Math.min(5, seeds.length)], false));
      break;
    case 'list':
      judged(name, users.list());
      break;
    case 'missing':
      judged(name, users.missing());
      break;
    case 'invalid':
      judged(name, users.invalid(key));
      break;
    case 'create':
      createOne(name, iteration, key);
      break;
    case 'create_unkeyed':
      createOne(name, iteration, '');
      break;
    case 'replace':
      judged(name, users.replace(seeds[iteration % seeds.length], `Replaced ${iteration}`, key));
      break;
    case 'edit':
      judged(name, users.edit(seeds[iteration % seeds.length], `Edited ${iteration}`, key));
      break;
    default:
      judged(name, users.remove(mine.shift()));
  }
}
