import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type CredentialRequest, Identity_Kind } from '../../gen/adaptlet/control/v1/control.ts';
import { anAdapter, aPolicy } from '../../plan/manifests.fixture.ts';
import { podToken } from './fake-replica.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { adapter, digest, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { connected, eventually, dial } = stage;

const image = 'r.example/team-a/sql:v1';
const source = { oci: { image, pullSecretRef: { name: 'login' } } };
const question = { namespace: 'team-a', source: source.oci, isRefused: false };
const request = { id: 7n, key: 'team-a/sql', image, secret: 'login', refused: false };

const ask = async (runtime: FakeRuntime, more: Partial<CredentialRequest> = {}) => {
  const before = runtime.of('credential').length;
  runtime.send({ $case: 'credential', value: { ...request, ...more } });
  return await eventually('an answer', () => runtime.of('credential')[before]);
};
const withSql = async () => {
  stage.replica.objects.adapters.put(adapter('sql', { source }));
  const runtime = await connected();
  await eventually('the plan', () => runtime.commits > 0);
  return runtime;
};

describe('a runtime that asks for a pull credential', () => {
  it('gets it apart from the plan, when its plan has the adapter', async () => {
    const runtime = await withSql();
    stage.replica.pulls.answer = async () => ({ header: 'Bearer s3cr3t', lifetimeMs: 1500.9 });
    expect(await ask(runtime)).toEqual({
      id: 7n,
      authorization: 'Bearer s3cr3t',
      lifetimeMs: 1500n,
      reason: '',
      advice: '',
    });
    expect(stage.replica.pulls.asked).toEqual([question]);
    const bodies = runtime.of('put').map(({ body }) => Buffer.from(body).toString());
    expect(bodies.join()).toContain('"pullSecretRef":{"name":"login"}');
    expect(bodies.join()).not.toContain('s3cr3t');
    await ask(runtime, { refused: true });
    expect(stage.replica.pulls.asked.at(-1)).toEqual({ ...question, isRefused: true });
  });

  it('gets what the Secret of a web server has, for the adapter of its plan alone', async () => {
    const header = { name: 'X-Token', secretKeyRef: { name: 'files', key: 'token' } };
    const http = { url: 'https://files.example/a.tar?x=1', sha256: '0'.repeat(64), header };
    stage.replica.objects.adapters.put(adapter('file', { source: { http } }));
    const runtime = await connected();
    await eventually('the plan', () => runtime.commits > 0);
    stage.replica.pulls.answer = async () => ({ header: 'word', lifetimeMs: 1000 });
    const asked = { key: 'team-a/file', image: 'https://files.example/a.tar', secret: 'files' };
    expect(await ask(runtime, asked)).toMatchObject({ authorization: 'word' });
    const secret = {
      place: asked.image,
      ref: header.secretKeyRef,
      header: 'X-Token',
      is: 'Header',
    };
    expect(stage.replica.pulls.asked.at(-1)).toEqual({ namespace: 'team-a', secret });
    for (const other of [{ image: 'https://files.example/b.tar' }, { secret: 'login' }]) {
      const answer = await ask(runtime, { ...asked, ...other });
      expect(answer).toMatchObject({ authorization: '', reason: expect.stringContaining('another source') });
    }
  });

  it('hears that the registry wants none, or why there is none and what to do', async () => {
    const runtime = await withSql();
    expect(await ask(runtime)).toMatchObject({ authorization: '', reason: '', advice: '' });
    stage.replica.pulls.answer = () =>
      Promise.reject(
        new AdaptletError('PULL_SECRET', 'there is no Secret team-a/login', { advice: 'Make it.' }),
      );
    expect(await ask(runtime)).toMatchObject({
      authorization: '',
      reason: 'PULL_SECRET: there is no Secret team-a/login',
      advice: 'Make it.',
    });
  });

  it.each<[string, Partial<CredentialRequest>]>([
    ['an adapter that its plan does not have', { key: 'team-a/other' }],
    ['an adapter of a namespace that has none', { key: 'team-b/sql' }],
    ['another image', { image: 'r.example/team-b/sql:v1' }],
    ['another Secret', { secret: 'other' }],
    ['nothing', { key: '' }],
  ])('gets none for %s', async (_, more) => {
    const runtime = await withSql();
    const answer = await ask(runtime, more);
    expect(answer).toMatchObject({ authorization: '' });
    expect(answer.reason).toMatch(/^PULL_CREDENTIAL_AWAITED: the plan of the runtime has/);
    expect(stage.replica.pulls.asked).toEqual([]);
  });

  it('gets none for an adapter without a pullSecretRef', async () => {
    stage.replica.objects.adapters.put(adapter('sql', { source: { oci: { image } } }));
    const runtime = await connected();
    await eventually('the plan', () => runtime.commits > 0);
    expect((await ask(runtime)).reason).toContain('no such source with a Secret');
  });

  it('gets none for another namespace when it is a pod', async () => {
    stage.replica.objects.policies.put(aPolicy('team-a', { runtimes: { pods: 'Allow' } }));
    stage.replica.objects.adapters.put(
      anAdapter({ name: 'sql', namespace: 'team-b' }, { digest, preload: { tier: 'Disk' }, source }),
    );
    const pod = dial(podToken('app'));
    pod.hello({ identity: { namespace: 'team-a', name: 'app', kind: Identity_Kind.POD } });
    await eventually('a commit', () => pod.commits > 0);
    expect((await ask(pod, { key: 'team-b/sql' })).reason).toContain('no such source');
    expect(stage.replica.pulls.asked).toEqual([]);
  });

  it('is refused what is more than it can need at a time', async () => {
    const runtime = await withSql();
    stage.replica.pulls.answer = () => new Promise(() => undefined);
    for (let id = 1n; id <= 33n; id++) runtime.send({ $case: 'credential', value: { ...request, id } });
    const refused = await eventually('a refusal', () => runtime.of('credential')[0]);
    expect(refused).toMatchObject({ id: 33n, authorization: '' });
    expect(refused.reason).toContain('more than 32 at a time');
    expect(runtime.ended).toBeUndefined();
  });
});
