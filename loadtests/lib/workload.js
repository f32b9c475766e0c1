// How much: the stages of the wrapper's workload (loadtests/workloads.py) as an executor with a fixed arrival rate.

export function executor(settings) {
  const common = {
    timeUnit: '1s',
    preAllocatedVUs: settings.vus,
    maxVUs: settings.vus,
    gracefulStop: `${Math.ceil(settings.limitMs / 1000) + 2}s`,
  };
  const rate = (share) => Math.max(1, Math.round(settings.rate * share));
  const milliseconds = (share, more = 0) => `${Math.round((settings.seconds * share + more) * 1000)}ms`;
  if (settings.stages.length === 1 && settings.stages[0].start === 1 && settings.stages[0].end === 1) {
    // Of a flat ramp k6 leaves out one request now and then; this one is exact.
    return Object.assign({ executor: 'constant-arrival-rate', rate: settings.rate, duration: milliseconds(1, settings.tail) }, common);
  }
  const stages = [];
  for (const stage of settings.stages) {
    stages.push({ target: rate(stage.start), duration: '0s' }, { target: rate(stage.end), duration: milliseconds(stage.time) });
  }
  return Object.assign({ executor: 'ramping-arrival-rate', startRate: stages[0].target, stages }, common);
}
