import { createHash } from 'node:crypto';
import { apiKeysLabel } from '../../api/secret-keys.ts';
import type { KubeObject } from '../../kube/client/object.ts';

export const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex');

/** For tests: a key that is long enough. */
export const aKey = (name: string): string => `adk_${name}`.padEnd(47, '-');

type More = {
  readonly namespace?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Second of its creation. */
  readonly at?: number;
};

/** For tests: a Secret with keys as the API server has it; `data` in plain text. */
export const aSecret = (
  name: string,
  data: Readonly<Record<string, string>>,
  { namespace = 'team-a', annotations, at = 0 }: More = {},
): KubeObject & { readonly data: Readonly<Record<string, string>> } => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name,
    namespace,
    uid: `uid-${namespace}-${name}`,
    resourceVersion: '7',
    creationTimestamp: new Date(1_700_000_000_000 + at * 1000).toISOString(),
    labels: { [apiKeysLabel]: 'true' },
    ...(annotations === undefined ? {} : { annotations }),
  },
  data: Object.fromEntries(
    Object.entries(data).map(([entry, value]) => [entry, Buffer.from(value).toString('base64')]),
  ),
});
