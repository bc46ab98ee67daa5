import { expect } from 'vitest';
import type { Seen, Stage } from './stage.ts';

export const kinds = ['reach', 'read', 'write', 'guess', 'time', 'starve', 'fill'] as const;
export type ProbeKind = (typeof kinds)[number];

/** One thing that a tenant tries and must not succeed with. */
export type Probe = {
  readonly kind: ProbeKind;
  /** What is tried, after "team-b". */
  readonly tries: string;
  /** What it gets. */
  readonly expected: string;
  readonly run: (stage: Stage) => Promise<void>;
};

/** HTTP statuses and gRPC codes of refusals. */
const statuses = {
  UNAUTHENTICATED: [401, 16],
  FORBIDDEN: [403, 7],
  MODEL_NOT_FOUND: [404, 5],
  REQUEST_INVALID: [400, 3],
} as const;
type Refusal = keyof typeof statuses;

/** A probe that is refused by one of these codes. */
export const refused = (
  kind: ProbeKind,
  tries: string,
  by: Refusal | readonly Refusal[],
  ask: (stage: Stage) => Promise<Seen>,
): Probe => {
  const codes = typeof by === 'string' ? [by] : by;
  return {
    kind,
    tries,
    expected: codes.join(' or '),
    run: async (stage) => {
      const seen = await ask(stage);
      expect(codes, `${seen.status} ${seen.text}`).toContain(seen.code);
      expect(statuses[seen.code as Refusal]).toContain(seen.status);
    },
  };
};
