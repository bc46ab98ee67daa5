import type { Former } from '../../artifact/grants.ts';
import type { Recalled } from './memory.ts';

/**
 * What a node of a version without grants had: the digests of the plan that it remembers, and those that sources gave for
 * adapters of the plan and of single users. A uid has one namespace and one source for its life.
 */
export const formerAdapters = ({
  plan,
  standalone,
  resolutions,
}: Pick<Recalled, 'plan' | 'standalone' | 'resolutions'>): readonly Former[] => {
  const planned = (plan?.resources ?? []).map(({ type, body }) =>
    type === 'AdapterSpec' ? body : undefined,
  );
  const inFiles = Object.values(standalone?.files ?? {})
    .flat()
    .map((object) =>
      object.kind === 'Adapter' ? { uid: object.metadata.uid, digest: object.spec.digest } : undefined,
    );
  const named = [...planned, ...inFiles].flatMap((adapter) =>
    adapter?.digest === undefined ? [] : [{ uid: adapter.uid, digest: adapter.digest }],
  );
  return [...named, ...Object.entries(resolutions).map(([uid, digest]) => ({ uid, digest }))];
};
