import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GenerateRequest, type GenerateResponse } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { unaryCall } from '../testing/grpc-client.ts';
import { certificateFor, newAuthority, startSecure } from '../testing/secure-servers.ts';
import { CertificateFiles, lookEveryMs } from './certificate-files.ts';

const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
let node: Awaited<ReturnType<typeof startSecure>>;
beforeEach(async () => {
  vi.clearAllMocks();
  node = await startSecure({ log });
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

const isLive = (client: ReturnType<typeof node.dial>) =>
  unaryCall((cb) => client.oip.serverLive({}, cb)).then(
    () => true,
    () => false,
  );
const isReached = (trusted?: Parameters<typeof node.ask>[1]) =>
  node.ask({ path: '/livez' }, trusted).then(
    ({ status }) => status === 200,
    () => false,
  );

/** Lets the node look at its files, and waits for what it says. */
const look = async (said: 'info' | 'error'): Promise<void> => {
  const before = log[said].mock.calls.length;
  node.clock.advance(lookEveryMs);
  await vi.waitFor(() => expect(log[said].mock.calls.length).toBe(before + 1));
};

describe('a new certificate', () => {
  it('is taken for new connections of both ports; what is open goes on', async () => {
    const old = node.dial();
    expect(await isLive(old)).toBe(true);
    // An answer under way on each port.
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    node.parts.serving.gate = () => gate;
    const stream = old.inference.generate(
      GenerateRequest.fromPartial({ model: 'upper', prompt: { $case: 'text', value: 'ab' } }),
    );
    let text = '';
    stream.on('data', ({ event }: GenerateResponse) => {
      if (event?.$case === 'tokens') text += event.value.text;
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: node.authority.certificate });
    const kept = async (): Promise<TLSSocket> => {
      const sent = request(`https://127.0.0.1:${node.http.port}/livez`, { agent });
      sent.end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      response.resume();
      await once(response, 'end');
      return response.socket as TLSSocket;
    };
    const first = await kept();

    const next = await newAuthority('next');
    await node.write(await certificateFor(next, 'runtime'));
    await look('info');

    release();
    await once(stream, 'end');
    expect(text).toBe('AB');
    expect(await isLive(old)).toBe(true);
    expect(await kept()).toBe(first);
    agent.destroy();
    expect([await isReached(), await isReached(next)]).toEqual([false, true]);
    expect([await isLive(node.dial()), await isLive(node.dial(undefined, next))]).toEqual([false, true]);
  });

  it.each([
    ['with the key of another', async () => (await certificateFor(node.authority, 'other')).certificate],
    ['cut short', async () => '-----BEGIN CERTIFICATE-----\nMII'],
    ['empty', async () => ''],
  ])('%s changes nothing, and the log says so once', async (_, make) => {
    await writeFile(node.paths.certificate, await make());
    await look('error');
    node.clock.advance(lookEveryMs);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(log.error).toHaveBeenCalledTimes(1);
    expect([await isReached(), await isLive(node.dial())]).toEqual([true, true]);
    // And then a good one.
    await node.write(await certificateFor(node.authority, 'runtime'));
    await vi.waitFor(() => {
      node.clock.advance(lookEveryMs);
      expect(log.info).toHaveBeenCalledTimes(1);
    });
    expect([await isReached(), await isLive(node.dial())]).toEqual([true, true]);
  });

  it('a key that is still being written changes nothing, and is taken once it is whole', async () => {
    const next = await certificateFor(node.authority, 'runtime');
    await node.write({ ...next, key: '' });
    await look('error');
    expect([await isReached(), await isLive(node.dial())]).toEqual([true, true]);
    await node.write(next);
    await look('info');
    expect([await isReached(), await isLive(node.dial())]).toEqual([true, true]);
  });

  it('a file that is gone for a while changes nothing', async () => {
    await rm(node.paths.key);
    await look('error');
    expect([await isReached(), await isLive(node.dial())]).toEqual([true, true]);
  });

  it('nothing is said of files that go with their node while it looks at them', async () => {
    await rm(node.paths.key);
    const looked = node.files.look();
    node.files.close();
    await looked;
    expect(log.error).not.toHaveBeenCalled();
  });

  it('authorities of clients change in the same way', async () => {
    const next = await newAuthority('clients');
    const client = await certificateFor(next, 'box');
    const who = async () => {
      await node.ask({ path: '/v1/models', client });
      const [presented] = identify.mock.calls.at(-1) ?? [];
      return presented?.commonName;
    };
    const identify = vi.fn(node.parts.identify);
    await node[Symbol.asyncDispose]();
    node = await startSecure({ log, identify });
    expect(await who()).toBeUndefined();
    await writeFile(node.paths.clientCa, next.certificate);
    await look('info');
    expect(await who()).toBe('box');
    await unaryCall((cb) => node.dial(client).oip.repositoryIndex({ repositoryName: '', ready: true }, cb));
    expect(identify.mock.calls.at(-1)?.[0].commonName).toBe('box');
  });
});

describe('a certificate that comes later', () => {
  const late = async (more: { first?: string; clientCa?: string } = {}) => {
    await node[Symbol.asyncDispose]();
    node = await startSecure({ log }, { isAwaited: true, ...more });
    return { ...(await certificateFor(node.authority, 'runtime')), path: node.paths.certificate };
  };

  it('is that of no connection before, and of each one from then on, on both ports', async () => {
    const { path, certificate, key } = await late();
    const early = node.dial();
    expect(log.error).not.toHaveBeenCalled();
    expect([await isReached(), await isLive(early)]).toEqual([false, false]);
    await expect(fetch(`http://127.0.0.1:${node.http.port}/livez`)).rejects.toThrow();
    await writeFile(path, certificate + key);
    await node.files.look();
    expect([await isReached(), await isLive(node.dial())]).toEqual([true, true]);
    // The channel that was refused comes by itself.
    await vi.waitFor(async () => expect(await isLive(early)).toBe(true), 10_000);
    expect(node.files.until).toBe(Date.parse(new X509Certificate(certificate).validTo));
  });

  it('is there again after a restart', async () => {
    const { certificate, key } = await late();
    await late({ first: certificate + key });
    // It is that of the authority of the first one.
    expect(node.files.context).toMatchObject({ cert: certificate + key });
  });

  it('does not end the start where its file is broken, and the log says so', async () => {
    const { path, certificate, key } = await late({ first: 'half a certi' });
    expect(log.error).toHaveBeenCalledTimes(1);
    expect(await isReached()).toBe(false);
    await writeFile(path, certificate + key);
    await node.files.look();
    expect(await isReached()).toBe(true);
  });

  it('does not hide authorities of clients that are none', async () => {
    await expect(late({ clientCa: 'none' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    node = await startSecure({ log });
  });
});

it('TLS older than 1.2 is refused, and so is a connection without TLS', async () => {
  for (const port of [node.grpc.port, node.http.port]) {
    const versionOf = (maxVersion: 'TLSv1.1' | 'TLSv1.2') =>
      new Promise<string>((resolve) => {
        const socket = connect({
          port,
          host: '127.0.0.1',
          ca: node.authority.certificate,
          minVersion: 'TLSv1',
          maxVersion,
          ciphers: 'DEFAULT@SECLEVEL=0',
          ALPNProtocols: ['h2', 'http/1.1'],
        });
        socket.on('secureConnect', () => {
          resolve(socket.getProtocol() ?? '');
          socket.destroy();
        });
        socket.on('error', () => resolve('refused'));
      });
    expect([await versionOf('TLSv1.1'), await versionOf('TLSv1.2')]).toEqual(['refused', 'TLSv1.2']);
  }
  await expect(fetch(`http://127.0.0.1:${node.http.port}/livez`)).rejects.toThrow();
});

it('files that cannot be used at the start are named', async () => {
  const options = { clock: new FakeClock(), log };
  const { paths } = node;
  await writeFile(paths.clientCa, 'none');
  for (const bad of [
    { ...paths, certificate: '/does/not/exist' },
    { ...paths, key: paths.certificate },
    paths,
  ]) {
    await expect(CertificateFiles.open({ ...options, paths: bad })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/--tls-cert/),
    });
  }
});
