// Finding things: lists in an order, narrowed, page after page, with some fields only. All from the database.

import { send, uncached } from './http.js';

const LIMIT = 10;
export const POSTS_EACH = 3; // posts of each seed user

export function post(user, number, key) {
  const body = { author_id: user.id, title: `Load ${number}`, body: 'Written by a load test.' };
  const response = send('POST', 'POST /v1/posts', '/v1/posts', { body, key });
  return { response, wanted: { statuses: [201], body: (answer) => (answer.json('data.author_id') === user.id ? '' : 'other author') } };
}

function find(name, path, right) {
  const response = send('GET', name, path, { headers: uncached });
  const body = (answer) => {
    const found = answer.json('data');
    return !Array.isArray(found) || found.length > LIMIT ? 'no list' : right(found, answer);
  };
  return { response, wanted: { statuses: [200], body } };
}

// All posts of a user, and of nobody else.
export const byAuthor = (user) =>
  find('GET /v1/posts?author_id', `/v1/posts?author_id=${user.id}&limit=${LIMIT}`, (found) => {
    if (found.length !== POSTS_EACH) {
      return 'other number of posts';
    }
    return found.every((one) => one.author_id === user.id) ? '' : 'other author';
  });

const newestFirst = (found) => found.every((one, at) => at === 0 || Date.parse(one.created_at) <= Date.parse(found[at - 1].created_at));

export const newest = () => find('GET /v1/posts?sort', `/v1/posts?sort=-created_at&limit=${LIMIT}`, (found) => (newestFirst(found) ? '' : 'wrong order'));

const NAMED = '/v1/users?sort=name&fields=id,name';
const onlyNamed = (found) => found.every((one) => Object.keys(one).sort().join() === 'id,name');

export const named = () => find('GET /v1/users?sort', `${NAMED}&limit=${LIMIT}`, (found) => (onlyNamed(found) ? '' : 'other fields'));

// The page after another one: nobody who was on that one is on this one.
export const following = (page) =>
  find('GET /v1/users?cursor', `${NAMED}&limit=${LIMIT}&cursor=${encodeURIComponent(page.cursor)}`, (found) => {
    if (!onlyNamed(found)) {
      return 'other fields';
    }
    return found.some((one) => page.ids.includes(one.id)) ? 'a user twice' : '';
  });
