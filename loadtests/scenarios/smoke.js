// Each operation and each kind of answer, a little of everything: does it work at all?

import { crud as operations } from '../lib/crud.js';
import { mixOf } from '../lib/mix.js';
import { seed } from '../lib/seeds.js';

const mix = mixOf(operations, {
  read: 20, list: 15, hot: 10, missing: 10, invalid: 5, create: 17, replace: 8, edit: 7, remove: 5, create_unkeyed: 3,
});

export const smoke = Object.assign({ setup: seed }, mix);
