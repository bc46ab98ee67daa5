import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { setOf } from '../testing/runtime-set.ts';
import { type Classifying, classifiersReady } from './classifiers.ts';

const [first, second] = [fakeDigest('1'), fakeDigest('2')];
const wanted = [
  { name: 'intent', digest: first },
  { name: 'tone', digest: second },
];
const runtime = (name: string, ...states: readonly (readonly [string, string, string?])[]): Classifying => ({
  runtimes: setOf(runtimeKey(name)),
  classifiers: states.map(([of, state, message = '']) => ({
    name: of,
    digest: of === 'tone' ? second : first,
    state,
    message,
  })),
});
const both = [
  ['intent', 'Ready'],
  ['tone', 'Ready'],
] as const;
const silent: Classifying = { runtimes: setOf(runtimeKey('old')), classifiers: undefined };

describe('the classifiers of a route', () => {
  it('are no condition where none needs an artifact', () => {
    expect(classifiersReady([], [runtime('a')])).toBeUndefined();
  });

  it('are ready once every runtime that routes by it says so, with the digests that they have', () => {
    expect(classifiersReady(wanted, [runtime('a', ...both), runtime('b', ...both)])).toMatchObject({
      status: 'True',
      reason: 'ClassifiersReady',
      message: `on 2 runtimes: intent ${first}, tone ${second}`,
    });
  });

  it('quote a runtime that cannot have an artifact before one where it is on its way', () => {
    const failed = runtime('b', ['intent', 'Failed', 'DIGEST_MISMATCH: another'], ['tone', 'Ready']);
    expect(classifiersReady(wanted, [runtime('a', ['intent', 'Pending', 'on its way']), failed])).toEqual({
      type: 'ClassifiersReady',
      status: 'False',
      reason: 'ClassifierFailed',
      message:
        `classifier intent (${first}) is not ready on 2 of 2 runtimes; edge/b: DIGEST_MISMATCH: another; ` +
        `classifier tone (${second}) is not ready on 1 of 2 runtimes; edge/a: it has not told of it yet`,
    });
  });

  it('are pending where a runtime tells of another digest, or of nothing yet', () => {
    const [one] = wanted;
    if (one === undefined) throw new Error('there are two');
    const former = { ...one, digest: second };
    for (const runtimes of [[runtime('a', ['intent', 'Ready'])], [runtime('a')]])
      expect(classifiersReady([former], runtimes)).toMatchObject({
        status: 'False',
        reason: 'ClassifierPending',
      });
  });

  it('are not known of a runtime that does not tell, and of none; one that lacks them counts before', () => {
    const unknown = { status: 'Unknown', reason: 'NotTold' };
    expect(classifiersReady(wanted, [silent])).toMatchObject(unknown);
    expect(classifiersReady(wanted, [silent, runtime('a', ...both)])).toMatchObject(unknown);
    expect(classifiersReady(wanted, [])).toMatchObject(unknown);
    expect(classifiersReady(wanted, [silent, runtime('a')])).toMatchObject({ status: 'False' });
  });
});
