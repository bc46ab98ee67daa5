import { z } from 'zod';
import type { ObjectKey } from '../../api/names.ts';
import { type BoundAdapter, boundAdapterSchema } from '../../api/rollout-status.ts';
import { resourceFromParts } from '../../control/wire.ts';
import { type AdapterResource, resourceKey, type Versioned } from '../../plan/resources.ts';

/** What this node goes on serving for a rollout, until the stable that its plan names is here. */
export type Kept = {
  readonly rollout: ObjectKey;
  /** Of the rollout. */
  readonly uid: string;
  readonly bound: BoundAdapter;
  /** As the plan had it. */
  readonly adapter: Versioned<AdapterResource>;
};

const itemSchema = z.object({
  rollout: z.custom<ObjectKey>((value) => typeof value === 'string' && value.includes('/')),
  uid: z.string(),
  bound: boundAdapterSchema,
  adapter: z.object({ key: z.string(), version: z.string(), body: z.unknown() }),
});

/** Reads what {@link keptToJson} wrote. One whose adapter is not what its version says is left out: the plan goes without it. */
export const keptSchema = z.object({ kept: z.array(itemSchema) }).transform(({ kept }): readonly Kept[] =>
  kept.flatMap(({ adapter, ...rest }) => {
    const read = resourceFromParts(adapter.key, adapter.version, adapter.body);
    return 'resource' in read && read.resource.type === 'AdapterSpec'
      ? [{ ...rest, adapter: read.resource }]
      : [];
  }),
);

/** A value for JSON. */
export const keptToJson = (kept: readonly Kept[]) => ({
  kept: kept.map(({ adapter, ...rest }) => ({
    ...rest,
    adapter: { key: resourceKey(adapter), version: adapter.version, body: adapter.body },
  })),
});
