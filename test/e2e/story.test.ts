import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CallError } from '../support/client.ts';
import { moon } from '../support/moon.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

const names = ['upper', 'reverse', 'digits', 'hello'] as const;
const users = Array.from({ length: 500 }, (_, i) => `u${i}`);

let node: TestNode;
beforeAll(async () => {
  node = await TestNode.start();
  await node.write('adapters.yaml', names.map((n) => yaml.adapter(n, `adapters/${n}`)).join(''));
  await waitFor('four adapters', async () => (await node.client.status()).adapters.length === 4);
});
afterAll(() => node.dispose());

const ask = (model: string, user = '', headers: Record<string, string> = {}) =>
  node.client.ask({ model, prompt: 'moon:', user, headers });

const rollout = async (name: string) => {
  const found = (await node.client.status()).rollouts.find((r) => r.key === `default/${name}`);
  if (found === undefined) throw new Error(`no rollout ${name}`);
  return found;
};

/** Asks for every user, a few at a time; the arm and text that each got. */
const askAll = async (model: string): Promise<Map<string, { arm: string; text: string }>> => {
  const answers = new Map<string, { arm: string; text: string }>();
  const queue = [...users];
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let user = queue.pop(); user !== undefined; user = queue.pop()) {
        const { served, text } = await ask(model, user);
        answers.set(user, { arm: served.arm, text });
      }
    }),
  );
  return answers;
};

const steer = (verb: 'promote' | 'abort' | 'rollback' | 'retry', name: string) =>
  new Promise((resolve, reject) => {
    node.client.admin[verb]({ rollout: name, full: false }, (error, value) =>
      error === null ? resolve(value.rollout) : reject(new CallError(error)),
    );
  });

describe('one node, one base model', () => {
  it('answers with the base model under its own name, and says so', async () => {
    const answer = await ask('tiny');
    expect(answer.text).toBe(moon.base);
    expect(answer.served).toMatchObject({
      adapter: '',
      arm: 'base',
      digest: expect.stringMatching(/^sha256:/) as string,
    });
  });

  it.each(names)('answers with the weights of %s and names its digest', async (name) => {
    const answer = await ask(name);
    expect(answer.text).toBe(moon[name]);
    const { digest } = (await node.client.status()).adapters.find((a) => a.key === `default/${name}`) ?? {};
    expect(answer.served).toMatchObject({ adapter: name, digest });
  });

  it('refuses a name that nobody has, and offers the nearest', async () => {
    await expect(ask('uper')).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
      message: expect.stringContaining('upper') as string,
    });
  });

  it('takes a first adapter as stable without steps', async () => {
    await node.write(
      'shout.yaml',
      yaml.rollout('shout', 'upper', '{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {}}'),
    );
    await waitFor('stable', async () => (await rollout('shout')).phase === 'Healthy');
    expect((await ask('shout', 'u1')).served).toMatchObject({
      adapter: 'upper',
      rollout: 'shout',
      arm: 'stable',
    });
  });
});

describe('a rollout', () => {
  let onCanary: Set<string>;

  it('gives the canary its share and keeps every user on one side', async () => {
    await node.write(
      'shout.yaml',
      yaml.rollout('shout', 'reverse', '{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {}}'),
    );
    await waitFor('20 %', async () => (await rollout('shout')).effectiveWeight === 20);
    const first = await askAll('shout');
    onCanary = new Set([...first].filter(([, a]) => a.arm === 'canary').map(([u]) => u));
    expect(Math.abs((onCanary.size / users.length) * 100 - 20)).toBeLessThan(5);
    for (const { arm, text } of first.values())
      expect(text).toBe(arm === 'canary' ? moon.reverse : moon.upper);
    for (const user of users.slice(0, 40))
      expect((await ask('shout', user)).served.arm).toBe(first.get(user)?.arm);
  });

  it('moves users only towards the canary when its weight grows', async () => {
    await steer('promote', 'shout');
    await waitFor('60 %', async () => (await rollout('shout')).effectiveWeight === 60);
    const second = await askAll('shout');
    for (const user of onCanary) expect(second.get(user)?.arm).toBe('canary');
    const share = [...second.values()].filter((a) => a.arm === 'canary').length / users.length;
    expect(Math.abs(share * 100 - 60)).toBeLessThan(5);
  });

  it('makes the canary stable for everybody at the end', async () => {
    await steer('promote', 'shout');
    await waitFor('the end', async () => (await rollout('shout')).phase === 'Healthy');
    const { text, served } = await ask('shout', 'u1');
    expect({ text, arm: served.arm, adapter: served.adapter }).toEqual({
      text: moon.reverse,
      arm: 'stable',
      adapter: 'reverse',
    });
  });

  it('goes back at once when the manifest names the former stable', async () => {
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 20}, {pause: {}}'));
    await waitFor('upper', async () => (await ask('shout')).served.adapter === 'upper');
    expect((await rollout('shout')).phase).toBe('Healthy');
  });

  it('refuses a broken adapter with its reason while stable goes on', async () => {
    await node.write('broken.yaml', yaml.adapter('broken', 'variants/broken-nan'));
    await node.write('shout.yaml', yaml.rollout('shout', 'broken', '{setWeight: 20}, {pause: {}}'));
    const degraded = await waitFor('degraded', async () => {
      const r = await rollout('shout');
      return r.phase === 'Degraded' && r;
    });
    expect(degraded.message).toMatch(/NaN|finite/i);
    const answers = await askAll('shout');
    expect(new Set([...answers.values()].map((a) => a.text))).toEqual(new Set([moon.upper]));
    await expect(ask('broken')).rejects.toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE' });
  });

  it('rolls back by hand at once, also across a restart, until somebody retries', async () => {
    await node.write('shout.yaml', yaml.rollout('shout', 'digits', '{setWeight: 50}, {pause: {}}'));
    await waitFor('50 %', async () => (await rollout('shout')).effectiveWeight === 50);
    await steer('rollback', 'shout');
    const after = await askAll('shout');
    expect(new Set([...after.values()].map((a) => a.text))).toEqual(new Set([moon.upper]));
    const { folder } = node;
    await node.end();
    node = await TestNode.start({ folder });
    await waitFor('stable', async () => (await ask('shout')).served.adapter === 'upper');
    expect(await rollout('shout')).toMatchObject({ phase: 'Degraded', effectiveWeight: 0 });
    await steer('retry', 'shout');
    await waitFor('50 % again', async () => (await rollout('shout')).effectiveWeight === 50);
    await steer('abort', 'shout');
    expect(await rollout('shout')).toMatchObject({ phase: 'Degraded', effectiveWeight: 0 });
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 50}, {pause: {}}'));
    await waitFor('healthy', async () => (await rollout('shout')).phase === 'Healthy');
  });
});

describe('a route', () => {
  beforeAll(async () => {
    await node.write(
      'route.yaml',
      `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: assistant}
spec:
  model: assistant
  rules:
  - name: numbers
    matches: [{headers: [{name: x-department, value: accounting}]}]
    targets: [{adapter: digits}]
  - name: friends
    matches: [{user: {in: [ann]}}, {user: {prefix: friend-}}]
    targets: [{adapter: hello}]
  - name: tenant
    matches: [{tenant: {in: [acme]}}]
    targets: [{rollout: shout}]
  - name: gone
    matches: [{user: {prefix: lost-}}]
    targets: [{adapter: broken}]
    fallback: [{base: true}]
  - name: nothing
    matches: [{user: {prefix: none-}}]
    targets: [{adapter: broken}]
  - name: personal
    matches: [{user: {prefix: own.}}]
    perUser: {baseModel: tiny, source: {path: {path: "people/{user}"}}}
    fallback: [{base: true}]
  - name: mixed
    targets: [{adapter: upper, weight: 3}, {adapter: reverse, weight: 1}]
`,
    );
    await waitFor('the route', async () => (await node.client.status()).routes.some((r) => r.accepted));
  });

  it.each([
    ['a header', '', { 'x-department': 'accounting' }, moon.digits, 'numbers'],
    ['a user', 'ann', {}, moon.hello, 'friends'],
    ['the prefix of a user', 'friend-7', {}, moon.hello, 'friends'],
    ['a tenant', '', { 'x-adaptlet-tenant': 'acme' }, moon.upper, 'tenant'],
    ['a fallback to base, said openly', 'lost-1', {}, moon.base, 'gone'],
    ['base where a user has no adapter of their own', 'own.stranger', {}, moon.base, 'personal'],
  ])('leads by %s', async (_, user, headers, text, rule) => {
    const answer = await ask('assistant', user, headers);
    expect(answer.text).toBe(text);
    expect(answer.served.rule).toBe(rule);
  });

  it('is an error, never a base answer, where no fallback is named', async () => {
    await expect(ask('assistant', 'none-1')).rejects.toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE' });
  });

  it('weights its targets and keeps a user on one of them', async () => {
    const answers = await askAll('assistant');
    const texts = [...answers.values()].map((a) => a.text);
    expect(Math.abs(texts.filter((t) => t === moon.upper).length / texts.length - 0.75)).toBeLessThan(0.06);
    for (const user of users.slice(0, 20))
      expect((await ask('assistant', user)).text).toBe(answers.get(user)?.text);
  });
});

describe('the manifest folder', () => {
  it('reports a bad file with its line and changes nothing', async () => {
    await node.write(
      'shout.yaml',
      'apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: shout}\nspec:\n  adapter: upper\n  adaptr: digits\n',
    );
    const problem = await waitFor(
      'the problem',
      async () => (await node.client.status()).manifests?.problems[0],
    );
    expect(problem).toMatchObject({ file: 'shout.yaml', line: 6 });
    expect(problem.reason).toContain('adaptr');
    expect((await ask('shout')).served.adapter).toBe('upper');
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 50}, {pause: {}}'));
    await waitFor('no problem', async () => (await node.client.status()).manifests?.problems.length === 0);
  });

  it('refuses a change of what is immutable', async () => {
    await node.write('broken.yaml', yaml.adapter('broken', 'variants/broken-inf'));
    const problem = await waitFor(
      'the problem',
      async () => (await node.client.status()).manifests?.problems[0],
    );
    expect(problem.reason).toMatch(/immutable/);
    await node.write('broken.yaml', yaml.adapter('broken', 'variants/broken-nan'));
  });

  it('is not needed to come back to the last plan', async () => {
    const { folder } = node;
    await node.end('SIGKILL');
    await rename(join(folder, 'manifests'), join(folder, 'away'));
    node = await TestNode.start({ folder });
    await rm(join(folder, 'manifests'), { recursive: true });
    await waitFor('upper', async () => (await ask('shout')).served.adapter === 'upper');
    expect((await ask('assistant', 'ann')).text).toBe(moon.hello);
    const { manifests } = await node.client.status();
    expect(manifests?.state).not.toBe('ok');
    await rename(join(folder, 'away'), join(folder, 'manifests'));
    await waitFor('the folder', async () => (await node.client.status()).manifests?.state === 'ok');
  });
});
