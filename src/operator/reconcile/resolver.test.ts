import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Resolver, resolutionMs } from './resolver.ts';

type Question = {
  readonly image: string;
  readonly answer: PromiseWithResolvers<Digest>;
  readonly signal: AbortSignal;
};

const start = () => {
  const clock = new FakeClock();
  const questions: Question[] = [];
  const told: string[] = [];
  const resolver = new Resolver<{ readonly image: string }, Digest>({
    what: 'digest',
    clock,
    random: () => 0,
    resolve: (_, { image }, signal) => {
      const answer = Promise.withResolvers<Digest>();
      questions.push({ image, answer, signal });
      return answer.promise;
    },
  });
  resolver.onChange((key) => void told.push(key));
  const ask = (name: string, image = `registry.example/${name}:v1`, namespace = 'team-a') =>
    resolver.of(objectKey(namespace, name), `uid-${namespace}-${name}`, { image });
  return { clock, questions, told, resolver, ask };
};
const away = new AdaptletError('REGISTRY_UNAVAILABLE', 'no answer');

describe('the resolver', () => {
  it('asks once for the life of an object', async () => {
    const { questions, told, ask, resolver } = start();
    expect(ask('a')).toEqual({ kind: 'Asking' });
    ask('a');
    questions[0]?.answer.resolve(fakeDigest('1'));
    await setImmediate();
    expect(told).toEqual(['team-a/a']);
    expect(ask('a')).toEqual({ kind: 'Resolved', answer: fakeDigest('1') });
    expect(questions).toHaveLength(1);
    resolver.forget('uid-team-a-a');
    ask('a');
    expect(questions).toHaveLength(2);
  });

  it('asks two at a time of one registry, and goes on with the next', async () => {
    const { questions, ask } = start();
    for (const name of ['a', 'b', 'c']) ask(name);
    ask('d', 'other.example/d:v1');
    expect(questions.map(({ image }) => image)).toEqual([
      'registry.example/a:v1',
      'registry.example/b:v1',
      'other.example/d:v1',
    ]);
    questions[1]?.answer.resolve(fakeDigest('1'));
    await setImmediate();
    expect(questions.at(-1)?.image).toBe('registry.example/c:v1');
  });

  it('asks sixteen at a time in all, four of one namespace', () => {
    const { questions, ask } = start();
    for (const namespace of ['a', 'b', 'c', 'd', 'e'])
      for (let i = 0; i < 10; i++) ask(`a${i}`, `${namespace}${i}.example/a:v1`, namespace);
    expect(questions).toHaveLength(16);
    expect(questions.filter(({ image }) => image.startsWith('a'))).toHaveLength(4);
  });

  it('asks for a namespace at once while another one names forty registries that never answer', async () => {
    const { questions, told, ask } = start();
    for (let i = 0; i < 40; i++) ask(`a${i}`, `silent${i}.example/a:v1`, 'mallory');
    ask('good', 'registry.example/good:v1', 'team-b');
    expect(questions.at(-1)?.image).toBe('registry.example/good:v1');
    questions.at(-1)?.answer.resolve(fakeDigest('1'));
    await setImmediate();
    expect(told).toEqual(['team-b/good']);
  });

  it('asks for a namespace at once while another one asks its registry for much, and answers come slowly', () => {
    const { questions, ask } = start();
    for (let i = 0; i < 40; i++) ask(`a${i}`, `registry.example/a${i}:v1`, 'mallory');
    ask('good', 'registry.example/good:v1', 'team-b');
    expect(questions.at(-1)?.image).toBe('registry.example/good:v1');
  });

  it('gives a namespace the next place that is free, whoever waits for longer', async () => {
    const { questions, clock, ask } = start();
    const hostile = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (let i = 0; i < 40; i++)
      for (const namespace of hostile) ask(`a${i}`, `${namespace}${i}.example/a:v1`, namespace);
    expect(questions).toHaveLength(16);
    ask('good', 'registry.example/good:v1', 'team-z');
    expect(questions).toHaveLength(16);
    clock.advance(resolutionMs);
    await setImmediate();
    const after = questions.slice(16).map(({ image }) => image);
    expect(after.indexOf('registry.example/good:v1')).toBeLessThanOrEqual(hostile.length);
    expect(after).toContain('registry.example/good:v1');
  });

  it('gives a question up after its time, also when it ignores that, and says why', async () => {
    const { questions, told, clock, ask } = start();
    ask('a');
    clock.advance(resolutionMs - 1);
    await setImmediate();
    expect([questions[0]?.signal.aborted, told]).toEqual([false, []]);
    clock.advance(1);
    await setImmediate();
    expect([questions[0]?.signal.aborted, told]).toEqual([true, ['team-a/a']]);
    expect(ask('a')).toMatchObject({
      kind: 'Failed',
      code: 'REGISTRY_UNAVAILABLE',
      message: expect.stringMatching(/no digest within 15 s/),
    });
    clock.advance(2000);
    expect(questions).toHaveLength(2);
  });

  it('asks a registry that is away less and less, one question at a time, and nobody else waits', async () => {
    const { questions, ask, clock } = start();
    ask('a');
    ask('b');
    for (const question of questions) question.answer.reject(away);
    await setImmediate();
    expect(ask('a')).toMatchObject({ kind: 'Failed', code: 'REGISTRY_UNAVAILABLE' });
    ask('d', 'other.example/d:v1');
    expect(questions).toHaveLength(3);
    clock.advance(1999);
    expect(questions).toHaveLength(3);
    clock.advance(1);
    expect(questions).toHaveLength(4);
    questions[3]?.answer.reject(away);
    await setImmediate();
    clock.advance(3999);
    expect(questions).toHaveLength(4);
    clock.advance(1);
    expect(questions).toHaveLength(5);
    questions[4]?.answer.resolve(fakeDigest('1'));
    await setImmediate();
    expect(questions).toHaveLength(6);
  });

  it('asks for a tag that is missing again later, while the registry serves others', async () => {
    const { questions, ask, clock } = start();
    ask('a');
    questions[0]?.answer.reject(new AdaptletError('ARTIFACT_NOT_FOUND', 'v1 is not there'));
    await setImmediate();
    ask('b');
    expect(questions).toHaveLength(2);
    clock.advance(4999);
    expect(questions).toHaveLength(2);
    clock.advance(1);
    expect(questions).toHaveLength(3);
  });

  it('tells nobody about an object that is gone, and stops its question', async () => {
    const { questions, ask, resolver, told } = start();
    ask('a');
    resolver.forget('uid-team-a-a');
    expect(questions[0]?.signal.aborted).toBe(true);
    questions[0]?.answer.resolve(fakeDigest('1'));
    await setImmediate();
    expect(told).toEqual([]);
  });

  it('asks nothing more once it is closed', async () => {
    const { questions, ask, resolver, clock } = start();
    ask('a');
    resolver.close();
    questions[0]?.answer.reject(away);
    await setImmediate();
    clock.advance(600_000);
    ask('b');
    expect(questions).toHaveLength(1);
  });
});
