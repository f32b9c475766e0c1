// Any HTTP service: one path of it again and again, which must answer 200. Nothing is made and nothing is left behind.

import { send, uncached } from '../lib/http.js';
import { mixOf } from '../lib/mix.js';
import { settings } from '../lib/settings.js';

const wanted = { statuses: [200], body: () => '' };
const read = () => ({ response: send('GET', 'GET', settings.path, { headers: uncached, token: null }), wanted });

const mix = mixOf({ page: { kind: 'uncached', run: read } }, { page: 100 });

export const page = Object.assign({ setup: () => ({ seeds: [] }) }, mix);
