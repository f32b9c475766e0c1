// What users do: 44 % uncached reads, 19 % reads that may come from a cache, 26 % writes with a key, 11 % without.
// A read is uncached when it says `Cache-Control: no-cache`, which the service must honour.

import { crud as operations } from '../lib/crud.js';
import { mixOf } from '../lib/mix.js';
import { seed } from '../lib/seeds.js';

const mix = mixOf(operations, { read: 34, list: 10, hot: 19, create: 16, replace: 5, edit: 5, remove: 8, create_unkeyed: 3 });

export const crud = Object.assign({ setup: seed }, mix);
