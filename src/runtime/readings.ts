import type { Readings } from './server/telemetry/readings.ts';
import type { RuntimeStatus } from './serving/serving.ts';

/** The gauges of a scrape, from the status of the runtime. */
export const readings = (status: RuntimeStatus, waiting: number): Readings => {
  const adapters: Record<string, number> = {};
  for (const { state } of status.adapters) adapters[state] = (adapters[state] ?? 0) + 1;
  const named = (states: readonly string[]): string[] =>
    status.adapters.filter((a) => states.includes(a.state)).map((a) => a.key.slice(a.key.indexOf('/') + 1));
  const running = named(['Resident']);
  return {
    ready: status.engine === 'ready',
    memory: status.memory,
    disk: status.disk,
    adapters,
    rollouts: status.rollouts.map(({ key, weight, effectiveWeight }) => ({ key, weight, effectiveWeight })),
    requests: { running: status.adapters.reduce((sum, a) => sum + a.references, 0), waiting },
    lora: {
      max: Math.max(1, running.length),
      running,
      waiting: waiting > 0 ? named(['Fetching', 'Stored', 'Compiled', 'Loaded']) : [],
    },
  };
};
