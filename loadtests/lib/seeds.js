// What must be there before the load begins, so that no read depends on how far a replica is behind. Nothing here throws: a
// service that answers nothing must end as failed requests, not as a fault of this script.

import { sleep } from 'k6';
import { fault } from './judge.js';
import { countFault } from './meter.js';
import { settings } from './settings.js';
import * as users from './users.js';

const SEEN_WITHIN_SECONDS = 10; // a replica shows what is new after this at the latest, or setup counts a failure

// Does one thing for each seed; what fails is counted once and ends it. `make(seed, index)` returns {response, wanted}.
export function forEach(seeds, what, make) {
  for (const [index, seed] of seeds.entries()) {
    const sent = make(seed, index);
    if (fault(sent.response, sent.wanted, settings.limitMs)) {
      countFault(`setup ${what} for ${index} of ${seeds.length} seed users`);
      return false;
    }
  }
  return true;
}

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
