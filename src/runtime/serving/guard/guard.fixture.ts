import { pino } from 'pino';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import type { Hold } from '../../state/memory.ts';
import { Guard } from './guard.ts';
import { Holds, type Watched } from './holds.ts';

export const digest = `sha256:${'a'.repeat(64)}` as Digest;
export const other = `sha256:${'b'.repeat(64)}` as Digest;
export const error = new AdaptletError('INTERNAL', 'it broke');
export const engineDown = new AdaptletError('ENGINE_DOWN', 'killed');
export const bound = (of: Digest) => ({ adapter: 'x', uid: 'x', digest: of });
export const canaryOf = (of: Digest, attempt = 1) => ({ ...bound(of), seed: '00', attempt });
export type Arms = Omit<Watched, 'guard'>;

/** The guard of the rollout `r1`, whose canary is held after three errors in a row. */
export const guardOf = (
  remembered: readonly Hold[] = [],
  answered?: (uid: string, digest: Digest) => void,
) => {
  const clock = new FakeClock();
  const written: Hold[] = [];
  const holds = new Holds(remembered, {
    clock,
    logger: pino({ enabled: false }),
    write: async (all) => {
      written.splice(0, written.length, ...all);
    },
  });
  const guard = new Guard({ clock, holds, ...(answered === undefined ? {} : { answered }) });
  /** Another plan is in force. */
  const follow = (arms: Arms, spec: Watched['guard'] = { maxConsecutiveErrors: 3 }) =>
    guard.follow(new Map([['r1', { guard: spec, ...arms }]]));
  follow({});
  return { guard, holds, written, clock, follow };
};
