// Finding things: narrowed, ordered, page after page. Every answer is a list from the database: this is what indexes are for.

import { byAuthor, following, named, newest, post, POSTS_EACH } from '../lib/finding.js';
import { mixOf } from '../lib/mix.js';
import { forEach, seed } from '../lib/seeds.js';
import { settings } from '../lib/settings.js';

let page = null; // the last page of users that this VU saw, if another one follows

const turn = (sent) =>
  Object.assign(sent, {
    then: (response) => {
      const cursor = response.json('meta.next_cursor');
      page = cursor ? { cursor, ids: response.json('data').map((one) => one.id) } : null;
    },
  });

const mix = mixOf(
  {
    by_author: { kind: 'uncached', instead: (data) => (data.seeds.length ? '' : 'newest'), run: (it) => byAuthor(it.seed) },
    newest: { kind: 'uncached', run: newest },
    named: { kind: 'uncached', run: () => turn(named()) },
    following: { kind: 'uncached', instead: () => (page ? '' : 'named'), run: () => turn(following(page)) },
  },
  { by_author: 40, newest: 20, named: 10, following: 30 },
);

export const search = Object.assign(mix, {
  setup: () => {
    const data = seed();
    for (let number = 0; number < POSTS_EACH; number += 1) {
      forEach(data.seeds, 'wrote a post', (user, index) => post(user, number, `${settings.runId}-post${index}-${number}`));
    }
    return data;
  },
});
