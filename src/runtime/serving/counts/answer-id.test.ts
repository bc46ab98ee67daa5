import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { type AnswerFacts, answerId, idLength, maxNumber, readAnswerId } from './answer-id.ts';

const key = Buffer.alloc(32, 1);
const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));
const facts: fc.Arbitrary<AnswerFacts> = fc
  .record({
    origin: hex(16),
    rollout: hex(16),
    trial: hex(8),
    arm: fc.constantFrom('stable' as const, 'canary' as const),
    digest: fc.constantFrom(fakeDigest('0'), fakeDigest('f')),
    number: fc.oneof(fc.nat(), fc.constant(maxNumber)),
    counted: fc.option(fc.record({ weight: fc.integer({ min: 1, max: 100 }), bucket: fc.nat(63) }), {
      nil: undefined,
    }),
  })
  .map(({ counted, ...rest }) => (counted === undefined ? rest : { ...rest, counted }));

describe('the id of an answer', () => {
  it('says all that feedback about it counts for, in few characters that any header may have', () => {
    fc.assert(
      fc.property(facts, (all) => {
        const id = answerId(all, key);
        expect(id).toHaveLength(idLength);
        expect(`chatcmpl-${id}`.length).toBeLessThanOrEqual(128);
        expect(id).toMatch(/^[A-Za-z0-9_-]+$/);
        // No prefix of OpenAI is taken off it by mistake.
        expect(id).not.toMatch(/^(?:cmpl|chatcmpl|classify)-/);
        expect(readAnswerId(id, () => [Buffer.alloc(32), key])).toEqual(all);
      }),
    );
  });

  it('is none with any character changed, and none by another key', () => {
    fc.assert(
      fc.property(
        facts,
        fc.nat(idLength - 1),
        fc.constantFrom('A', 'B', '9', '-', '_', 'z'),
        (all, at, c) => {
          const id = answerId(all, key);
          const changed = id.slice(0, at) + c + id.slice(at + 1);
          expect(readAnswerId(changed, () => [key])).toEqual(changed === id ? all : undefined);
          expect(readAnswerId(id, () => [Buffer.alloc(32, 2)])).toBeUndefined();
          expect(readAnswerId(id, () => undefined)).toBeUndefined();
        },
      ),
    );
  });

  it.each(['', 'r1', crypto.randomUUID(), 'A'.repeat(idLength), '='.repeat(idLength), 'é'.repeat(idLength)])(
    'is not "%s"',
    (id) => {
      expect(readAnswerId(id, () => [key])).toBeUndefined();
    },
  );
});
