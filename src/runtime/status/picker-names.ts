import { namespaceOf, type ObjectKey, objectKey } from '../../api/names.ts';
import type { RuntimeStatus } from '../admin/views.ts';
import type { AdapterView } from '../residency/adapter-view.ts';
import type { RuntimeGauges } from '../server/telemetry/gauges.ts';

type Seen = Pick<RuntimeStatus, 'adapters' | 'rollouts' | 'memory'>;

/** How many adapters the RAM budget holds, as far as the sizes of those in it tell. */
const capacityOf = ({ adapters, memory }: Seen): { readonly inRam: number; readonly capacity: number } => {
  const sizes = adapters.flatMap(({ residentBytes }) => (residentBytes > 0 ? [residentBytes] : []));
  const inRam = sizes.length;
  if (inRam === 0) return { inRam, capacity: Math.max(1, adapters.length) };
  return { inRam, capacity: Math.max(inRam, Math.floor(memory.budgetBytes / Math.max(...sizes))) };
};

/** Every name that clients call these adapters by: their own, and those of rollouts that serve them. */
const namesOf = (keys: ReadonlySet<ObjectKey>, { rollouts }: Seen): string[] => {
  const serving = rollouts.filter(({ key, stable, canary, effectiveWeight }) => {
    const arms = effectiveWeight > 0 ? [stable, canary] : [stable];
    return arms.some((adapter) => keys.has(objectKey(namespaceOf(key), adapter)));
  });
  const names = [...keys, ...serving.map(({ key }) => key)];
  return [...new Set(names.flatMap((key) => [key.slice(key.indexOf('/') + 1), key]))];
};

const keysOf = (adapters: readonly AdapterView[]): Set<ObjectKey> => new Set(adapters.map(({ key }) => key));

/**
 * What endpoint pickers are told of adapters (`vllm:lora_requests_info`). A picker compares the name in `model` with both lists, and the
 * length of both with `max`: `max` is what is listed and as many more as fit, so that several names of one adapter do not make a
 * runtime look full. What fits is told by the largest adapter in RAM.
 */
export const pickerNames = (status: Seen): RuntimeGauges['lora'] => {
  const { inRam, capacity } = capacityOf(status);
  const running = namesOf(keysOf(status.adapters.filter(({ state }) => state === 'Resident')), status);
  const known = new Set(running);
  const awaited = status.adapters.filter(({ state, waiting = 0 }) => state !== 'Resident' && waiting > 0);
  const waiting = namesOf(keysOf(awaited), status).filter((name) => !known.has(name));
  // One that is awaited takes a place that is free now.
  const more = Math.max(
    0,
    capacity - inRam - awaited.filter(({ residentBytes }) => residentBytes === 0).length,
  );
  return { max: running.length + waiting.length + more, running, waiting };
};
