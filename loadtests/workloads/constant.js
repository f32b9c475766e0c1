// The same number of requests in every second, whatever the answers take.

export function constant(settings) {
  return {
    executor: 'constant-arrival-rate',
    rate: settings.rate,
    timeUnit: '1s',
    duration: `${settings.seconds}s`,
    preAllocatedVUs: settings.vus,
    maxVUs: settings.vus,
    gracefulStop: `${Math.ceil(settings.limitMs / 1000) + 2}s`,
  };
}
