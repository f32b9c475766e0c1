// Five equal steps up to the rate: shows where the service stops keeping up, which is its capacity.

const STEPS = 5;

export function stairs(settings) {
  const stages = [];
  for (let index = 1; index <= STEPS; index += 1) {
    const target = Math.max(1, Math.round((settings.rate * index) / STEPS));
    stages.push({ target, duration: '0s' }, { target, duration: `${settings.seconds / STEPS}s` });
  }
  return {
    executor: 'ramping-arrival-rate',
    startRate: stages[0].target,
    timeUnit: '1s',
    stages,
    preAllocatedVUs: settings.vus,
    maxVUs: settings.vus,
    gracefulStop: `${Math.ceil(settings.limitMs / 1000) + 2}s`,
  };
}
