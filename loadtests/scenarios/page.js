// Any HTTP service: one path of it again and again, which must answer 200. Nothing is made and nothing is left behind.

import http from 'k6/http';
import { countStart } from '../lib/meter.js';
import { settings } from '../lib/settings.js';
import { judged } from '../lib/steps.js';

const wanted = { statuses: [200], body: () => '' };

export const page = () => {
  countStart();
  const options = { redirects: 0, timeout: settings.limitMs, headers: { 'Cache-Control': 'no-cache' }, tags: { name: 'GET' } };
  judged('page', { response: http.get(`${settings.baseUrl}${settings.path}`, options), wanted });
};
