import type { ObjectKey } from '../api/names.ts';
import type { AdapterResource } from './resources.ts';

/** An adapter of a plan, from a folder that has its name, that nothing asks for yet. */
export const adapterResource = (
  name: ObjectKey,
  more: Partial<AdapterResource['body']> = {},
): AdapterResource => ({
  type: 'AdapterSpec',
  name,
  body: {
    uid: `uid-${name}`,
    baseModel: 'tiny',
    baseModelDigests: [],
    source: { path: { path: name } },
    priority: 0,
    pinned: false,
    tier: 'None',
    held: false,
    validation: { smokeTests: [], allowNoEffect: false },
    ...more,
  },
});
