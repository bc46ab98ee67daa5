import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { systemClock } from '../../time/clock.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { connectKube } from './client.ts';
import { connect, get, json, kubeconfig, serve } from './server.fixture.ts';

describe('credentials', () => {
  const guarded = async (accepted: () => string) =>
    await serve((request, response) => {
      if (request.headers.authorization === `Bearer ${accepted()}`) json(response, 200, { ok: true });
      else json(response, 401, { message: 'Unauthorized' });
    });

  it('are read anew once when the server refuses them', async () => {
    let accepted = 'one';
    const { url, requests } = await guarded(() => accepted);
    const { api, path } = await connect(url, { token: 'one' });
    await api.request(get);
    accepted = 'two';
    await writeFile(path, kubeconfig(url, { token: 'two' }));
    expect(await Promise.all([api.request(get), api.request(get)])).toEqual([{ ok: true }, { ok: true }]);
    accepted = 'three';
    const before = requests.length;
    await expect(api.request(get)).rejects.toMatchObject({
      code: 'KUBE_UNAUTHORIZED',
      what: 'GET /api/v1/things/a: Unauthorized (401)',
    });
    expect(requests.length - before).toBe(2);
  });

  it('from a file of a token are read anew, also before the server refuses the old ones', async () => {
    const { url, requests } = await serve((_, response) => json(response, 200, {}));
    const token = join(folderOfTest(), 'token');
    await writeFile(token, 'one\n');
    const clock = new FakeClock();
    const { api } = await connect(url, { tokenFile: token }, { clock });
    await api.request(get);
    await writeFile(token, 'two\n');
    await api.request(get);
    clock.advance(61_000);
    await api.request(get);
    // A file that is away for a moment costs nothing while the server takes what was read.
    await rm(token);
    clock.advance(61_000);
    await api.request(get);
    expect(requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer one',
      'Bearer one',
      'Bearer two',
      'Bearer two',
    ]);
  });

  it('from a plug-in are fetched once, and again when the server refuses them', async () => {
    let accepted = 'token-1';
    const { url } = await guarded(() => accepted);
    const work = folderOfTest();
    const script = join(work, 'plug-in');
    await writeFile(
      script,
      `#!/bin/sh
echo run >> ${work}/runs
echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":\\"token-$(wc -l < ${work}/runs | tr -d ' ')\\"}}"
`,
    );
    await chmod(script, 0o755);
    const clock = new FakeClock();
    const { api } = await connect(
      url,
      { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: script, interactiveMode: 'Never' } },
      { clock },
    );
    await api.request(get);
    clock.advance(120_000);
    await api.request(get);
    accepted = 'token-2';
    // All that were refused share one run, else this would be token-4.
    await Promise.all([api.request(get), api.request(get), api.request(get)]);
    accepted = 'nobody';
    await expect(api.request(get)).rejects.toMatchObject({ code: 'KUBE_UNAUTHORIZED' });
  });

  it('from a plug-in that hangs do not hold a request longer than its time', async () => {
    const clock = new FakeClock();
    const { api } = await connect(
      'http://127.0.0.1:1',
      { exec: { apiVersion: 'v1', command: 'sleep', args: ['3'] } },
      { clock },
    );
    const answer = api.request(get);
    clock.advance(30_000);
    await expect(answer).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' });
  });

  it('from a plug-in that fails are said to be the reason', async () => {
    const { api } = await connect('http://127.0.0.1:1', {
      exec: { apiVersion: 'v1', command: '/does/not/exist' },
    });
    await expect(api.request(get)).rejects.toMatchObject({
      code: 'KUBE_UNAUTHORIZED',
      what: expect.stringContaining('ENOENT'),
    });
  });

  it('are never sent to another server than the first', async () => {
    const { url, requests } = await guarded(() => 'new');
    const { api, path } = await connect(url, { token: 'old' });
    await writeFile(path, kubeconfig('http://127.0.0.1:1', { token: 'new' }));
    await expect(api.request(get)).rejects.toMatchObject({
      code: 'KUBE_UNAUTHORIZED',
      what: expect.stringContaining('now names http://127.0.0.1:1'),
    });
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer old']);
  });

  it('do not travel without encryption unless the kubeconfig says so', async () => {
    const { url, requests } = await serve((_, response) => json(response, 200, {}));
    const { api } = await connect(url, undefined, { cluster: { 'insecure-skip-tls-verify': false } });
    await expect(api.request(get)).rejects.toMatchObject({ code: 'KUBE_UNAUTHORIZED' });
    expect(requests).toHaveLength(0);
  });

  it('must be there', async () => {
    const options = { clock: systemClock, logger: pino({ level: 'silent' }) };
    const work = folderOfTest();
    expect(() => connectKube({ ...options, kubeconfig: join(work, 'none') })).toThrow('cannot be read');
    const empty = join(work, 'empty');
    await writeFile(empty, '{}');
    expect(() => connectKube({ ...options, kubeconfig: empty })).toThrow('has no current context');
  });
});
