// Work behind the request: each iteration orders one export of users, asks as often as the service says until it is done, and
// fetches the file. What counts is the time from the order to the last byte of the file.

import { sleep } from 'k6';
import { ask, fetch, order, wait } from '../lib/exports.js';
import { countFault, countFinished, countStart } from '../lib/meter.js';
import { judged } from '../lib/mix.js';
import { seed } from '../lib/seeds.js';
import { settings } from '../lib/settings.js';

// One request; its answer if it was right, else null.
function right(name, kind, sending) {
  countStart();
  const sent = sending();
  return judged(name, kind, sent) ? sent.response : null;
}

function step(data) {
  const begun = Date.now();
  let answer = right('order', 'unkeyed', order);
  if (answer === null) {
    return;
  }
  const id = answer.json('data.id');
  do {
    const pause = wait(answer);
    if (Date.now() + pause - begun > settings.limitMs) {
      countFault('not done in time', 'follow');
      return;
    }
    sleep(pause / 1000);
    answer = right('ask', 'uncached', () => ask(id));
    if (answer === null) {
      return;
    }
  } while (answer.json('data.state') !== 'done');
  const { rows, links } = answer.json('data');
  if (right('fetch', 'uncached', () => fetch(links.content, rows, data.seeds.length)) !== null) {
    countFinished(Date.now() - begun);
  }
}

export const followed = {
  setup: seed,
  step,
  shares: {},
  // Every export that was to be ordered was also fetched: answers alone may all be orders.
  guards: { slipway_finished: [`count>=${settings.minRequests}`] },
};
