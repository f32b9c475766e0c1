// A mix of operations, and one step of it. One iteration is one request: so the arrival rate is the request rate, and a
// dropped iteration is a dropped request.

import exec from 'k6/execution';
import { column, connectionOf, fault } from './judge.js';
import { count, countStart } from './meter.js';
import { settings } from './settings.js';

const SLOTS = 100;
let connection = ''; // over which this VU's last answer came

// Judges and counts one answer; true if it was right. `kind` says which column a failure goes to and what share of the mix it fills.
export function judged(name, kind, sent) {
  const reason = fault(sent.response, sent.wanted, settings.limitMs, connection);
  connection = connectionOf(sent.response) || connection;
  const role = kind === 'keyed' || kind === 'unkeyed' ? kind : 'read';
  count({ name, kind }, sent.response, column(reason, sent.response, role, settings.allow503), reason);
  return reason === '';
}

// `operations`: name -> {kind, run, instead}. `run(it)` sends one request and returns {response, wanted}, perhaps with
// `then(response)` for a right answer. `instead(data)` names an operation of the same kind that stands in, so that the shares of the mix stay, or ''.
// `parts`: name -> parts of 100.
export function mixOf(operations, parts) {
  const slots = [];
  const shares = {};
  for (const [name, many] of Object.entries(parts)) {
    if (!operations[name]) {
      throw new Error(`unknown operation ${name} in a mix; known: ${Object.keys(operations).join(', ')}`);
    }
    shares[operations[name].kind] = (shares[operations[name].kind] || 0) + many / SLOTS;
    for (let part = 0; part < many; part += 1) {
      slots.push(name);
    }
  }
  if (slots.length !== SLOTS) {
    throw new Error(`a mix has ${SLOTS} parts, this one has ${slots.length}`);
  }
  return { shares, step: (data) => step(operations, slots, data) };
}

function step(operations, slots, data) {
  const iteration = exec.scenario.iterationInTest;
  // 37 has no factor in common with 100: each hundred iterations walk all slots, far apart.
  let name = slots[(iteration * 37) % slots.length];
  const other = operations[name].instead ? operations[name].instead(data) : '';
  name = other || name;
  const seed = data.seeds.length ? data.seeds[iteration % data.seeds.length] : null;
  countStart();
  const sent = operations[name].run({ iteration, seed, seeds: data.seeds, key: `${settings.runId}-${iteration}` });
  if (judged(name, operations[name].kind, sent) && sent.then) {
    sent.then(sent.response);
  }
}
