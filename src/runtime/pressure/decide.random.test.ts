import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { decide, initialState, marginOf, type Part, type Situation, type State } from './decide.ts';

const mib = 2 ** 20;
const bytes = fc.integer({ min: 0, max: 2048 }).map((amount) => amount * mib);

/** Any part whose numbers agree with each other. */
const part: fc.Arbitrary<Part> = fc
  .record({
    fullBytes: bytes,
    usedBytes: bytes,
    leastBytes: bytes,
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    guarantee: fc.double({ min: 0, max: 1, noNaN: true }),
    leaving: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ fullBytes, usedBytes, leastBytes, share, guarantee, leaving }) => {
    const sparableBytes = usedBytes * share;
    return {
      fullBytes,
      usedBytes,
      sparableBytes,
      leavingBytes: (usedBytes - sparableBytes) * leaving,
      leastBytes: Math.min(leastBytes, fullBytes),
      guaranteedBytes: fullBytes * guarantee,
    };
  });

const levels = fc.array(
  fc.record({
    name: fc.constant('limit'),
    own: fc.boolean(),
    limitBytes: bytes.map((amount) => amount + 64 * mib),
    usedBytes: bytes,
    stalledPercent: fc.integer({ min: 0, max: 100 }),
  }),
  { minLength: 1, maxLength: 3 },
);

const moments = fc.array(
  fc.record({ afterMs: fc.integer({ min: 250, max: 60_000 }), levels, kv: part, adapters: part }),
  { minLength: 1, maxLength: 40 },
);

type Step = {
  readonly before: State;
  readonly after: State;
  readonly situation: Situation;
  readonly askedBytes: number;
};

const steps = (history: typeof moments extends fc.Arbitrary<infer T> ? T : never): Step[] => {
  const all: Step[] = [];
  let [state, now] = [initialState, 0];
  for (const { afterMs, ...read } of history) {
    now += afterMs;
    const situation = { now, ...read };
    const { state: after, askedBytes } = decide(state, situation);
    all.push({ before: state, after, situation, askedBytes });
    state = after;
  }
  return all;
};

const parts = ({ before, after, situation }: Step) =>
  [
    { part: situation.kv, before: before.kvBytes, after: after.kvBytes },
    { part: situation.adapters, before: before.adapterBytes, after: after.adapterBytes },
  ] as const;

it('whatever is read: no budget is negative, more than was given, less than what is guaranteed or than what is in use', () => {
  fc.assert(
    fc.property(moments, (history) => {
      for (const step of steps(history)) {
        for (const { part: one, after } of parts(step)) {
          expect(after).toBeGreaterThanOrEqual(0);
          expect(after).toBeLessThanOrEqual(one.fullBytes);
          expect(after).toBeGreaterThanOrEqual(Math.min(one.fullBytes, one.guaranteedBytes));
          expect(after).toBeGreaterThanOrEqual(Math.min(one.fullBytes, one.usedBytes - one.sparableBytes));
        }
        const sparable = step.situation.kv.sparableBytes + step.situation.adapters.sparableBytes;
        expect(step.askedBytes).toBeLessThanOrEqual(sparable + 1);
        expect(step.askedBytes).toBeGreaterThanOrEqual(0);
      }
    }),
    { numRuns: 2_000 },
  );
});

it('whatever is read: after budgets were lowered none grows for 30 seconds beyond what is in use or guaranteed, and then every 10 seconds at most', () => {
  fc.assert(
    fc.property(moments, (history) => {
      let [loweredAt, grewAt] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (const step of steps(history)) {
        const { now } = step.situation;
        const least = Math.max(...step.situation.levels.map(marginOf)) / 2;
        const floor = (one: Part): number =>
          Math.max(one.guaranteedBytes, one.leastBytes, least, one.usedBytes - one.sparableBytes);
        const grew = parts(step).some(
          ({ part: one, before, after }) => after > before + 1 && after > floor(one) + 1,
        );
        if (grew) {
          expect(now - loweredAt).toBeGreaterThanOrEqual(30_000);
          expect(now - grewAt).toBeGreaterThanOrEqual(10_000);
          grewAt = now;
        }
        if (step.after.loweredAt === now) loweredAt = now;
      }
    }),
    { numRuns: 2_000 },
  );
});

/** A node whose memory is what its budgets hold, and something beside them that comes and goes. */
it('on a node that fills whatever it may, budgets come to rest within the limit, and go up and down once in 30 seconds at most', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 100, max: 900 }), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 400 }),
      (besides, appetite) => {
        const limitBytes = 1024 * mib;
        const margin = marginOf({ own: true, limitBytes });
        let [state, now, kv, adapters, turns, grows] = [initialState, 0, 0, 0, 0, false];
        for (const beside of besides) {
          for (let look = 0; look < 2_400; look += 1) {
            now += 250;
            const usedBytes = beside * mib + kv + adapters;
            const use = (held: number): Part => ({
              fullBytes: 600 * mib,
              usedBytes: held,
              sparableBytes: held,
              leavingBytes: 0,
              leastBytes: 0,
              guaranteedBytes: 0,
            });
            const level = { name: 'limit', own: true, limitBytes, usedBytes, stalledPercent: 0 };
            const { state: after } = decide(state, {
              now,
              levels: [level],
              kv: use(kv),
              adapters: use(adapters),
            });
            if (after.raisedAt === now) grows = true;
            if (after.loweredAt === now && grows && usedBytes > limitBytes - margin)
              [turns, grows] = [turns + 1, false];
            state = after;
            kv = Math.min(kv + (appetite * mib) / 40, state.kvBytes);
            adapters = Math.min(adapters + (appetite * mib) / 40, state.adapterBytes);
          }
          // What nobody could let go of is another one's.
          expect(beside * mib + kv + adapters).toBeLessThanOrEqual(Math.max(limitBytes, beside * mib));
        }
        expect(turns).toBeLessThanOrEqual(now / 30_000);
      },
    ),
    { numRuns: 100 },
  );
});
