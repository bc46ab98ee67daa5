import { expect } from 'vitest';
import type { Tenants } from '../../e2e/lab/tenants.ts';
import type { Seen, Stage } from './stage.ts';

export const kinds = ['reach', 'read', 'write', 'guess', 'time', 'starve', 'fill', 'lie', 'egress'] as const;
export type ProbeKind = (typeof kinds)[number];
export type ProbeId = `${ProbeKind}/${string}`;
export const kindOf = (id: ProbeId): ProbeKind => id.split('/')[0] as ProbeKind;

/** A node that follows a folder; a cluster whose node runs pods. */
export type Place = 'node' | 'lab';

/** One thing that a tenant tries and must not succeed with. */
export type About = {
  readonly id: ProbeId;
  /** What is tried, after "team-b". */
  readonly tries: string;
  /** What it gets. */
  readonly expected: string;
};

/** What a client tries: at any node, unless `on` says where alone. */
export type Probe = About & {
  readonly on?: readonly Place[];
  readonly run: (stage: Stage) => Promise<void>;
};

/** What takes a cluster. */
export type ClusterProbe = About & { readonly run: (tenants: Tenants) => Promise<void> };

/** HTTP statuses and gRPC codes of refusals. */
const statuses = {
  UNAUTHENTICATED: [401, 16],
  FORBIDDEN: [403, 7],
  MODEL_NOT_FOUND: [404, 5],
  REQUEST_INVALID: [400, 3],
} as const;
type Refusal = keyof typeof statuses;

/** Only there. */
export const onNode = (probe: Probe): Probe => ({ ...probe, on: ['node'] });

/** A probe that is refused by one of these codes. */
export const refused = (
  id: ProbeId,
  tries: string,
  by: Refusal | readonly Refusal[],
  ask: (stage: Stage) => Promise<Seen>,
): Probe => {
  const codes = typeof by === 'string' ? [by] : by;
  return {
    id,
    tries,
    expected: codes.join(' or '),
    run: async (stage) => {
      const seen = await ask(stage);
      expect(codes, `${seen.status} ${seen.text}`).toContain(seen.code);
      expect(statuses[seen.code as Refusal]).toContain(seen.status);
    },
  };
};
