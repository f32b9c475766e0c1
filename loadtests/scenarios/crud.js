// What users do: 44 % uncached reads, 21 % reads that may come from a cache, 30 % writes with a key, 5 % without.
// A read is uncached when it says `Cache-Control: no-cache`, which the service must honour.

import { step, table } from '../lib/steps.js';

const slots = table({ read: 34, list: 10, hot: 21, create: 13, replace: 4, edit: 4, remove: 9, create_unkeyed: 5 });

export const crud = (data) => step(slots, data);
