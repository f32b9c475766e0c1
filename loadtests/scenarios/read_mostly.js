// What most services see: nine of ten requests read, and most of those may come from a cache. Shows what the cache is worth,
// and what happens to the database when it is lost.

import { crud as operations } from '../lib/crud.js';
import { mixOf } from '../lib/mix.js';
import { seed } from '../lib/seeds.js';

const mix = mixOf(operations, { hot: 55, read: 25, list: 10, create: 4, edit: 4, remove: 1, create_unkeyed: 1 });

export const readMostly = Object.assign({ setup: seed }, mix);
