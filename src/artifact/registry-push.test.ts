import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { digestOf } from './digest.ts';
import { packFiles } from './pack.ts';
import { parseReference } from './reference.ts';
import { registryOptions } from './registry-options.fixture.ts';
import { RegistryPush } from './registry-push.ts';

const signal = new AbortController().signal;
const packed = packFiles([], { artifactType: 'a', configType: 'c', config: Buffer.from('{}') });

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** `answers`: by the method and the path behind the repository. What is not there is 404. */
const serve = async (answers: Readonly<Record<string, Answer>>) => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '').replace('/v2/team/sql/', '');
    const asked = `${request.method} ${path}`;
    seen.push(asked);
    request.resume();
    request.once('end', () => {
      const key = Object.keys(answers).find((start) => asked.startsWith(start));
      if (key === undefined) response.writeHead(404).end();
      else answers[key]?.(request, response);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  stops.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
};

const push = (host: string, name = ':v2', mountFrom?: string) =>
  new RegistryPush({
    fetch,
    ...registryOptions,
    attempts: 2,
  }).push(parseReference(`${host}/team/sql${name}`), packed, { signal, mountFrom });

const status =
  (code: number, headers: Readonly<Record<string, string>> = {}, body = ''): Answer =>
  (_, response) =>
    void response.writeHead(code, headers).end(body);

const config = digestOf(Buffer.from('{}'));

describe('a push', () => {
  it('lets the registry take a blob out of another repository', async () => {
    const { host, seen } = await serve({
      'POST blobs/uploads/?mount': status(201),
      'PUT manifests/v2': status(201),
    });
    expect(await push(host, ':v2', 'team/old')).toBe(packed.digest);
    expect(seen).toEqual([
      `HEAD blobs/${config}`,
      `POST blobs/uploads/?mount=${config}&from=team/old`,
      'PUT manifests/v2',
    ]);
  });

  it('sends the blob where the registry cannot mount', async () => {
    const { host, seen } = await serve({
      'POST blobs/uploads/?mount': status(202, { location: '/v2/team/sql/up?state=1' }),
      'PUT up?state=1&digest': status(201),
      'PUT manifests/v2': status(201),
    });
    await push(host, ':v2', 'team/old');
    expect(seen.at(-2)).toBe(`PUT up?state=1&digest=${config}`);
  });

  it('says with what words the manifest was refused, and does not try again', async () => {
    const { host, seen } = await serve({
      'HEAD blobs/': status(200),
      'PUT manifests/v2': status(
        400,
        {},
        '{"errors":[{"code":"MANIFEST_INVALID","message":"unknown artifactType"}]}',
      ),
    });
    await expect(push(host)).rejects.toThrow(/manifest v2.*400.*unknown artifactType/);
    expect(await codeOf(() => push(host))).toBe('REGISTRY_REFUSED');
    expect(seen.filter((asked) => asked.startsWith('PUT'))).toHaveLength(2);
  });

  it('says that there is no such repository', async () => {
    const { host } = await serve({});
    expect(await codeOf(() => push(host))).toBe('REGISTRY_REFUSED');
    await expect(push(host)).rejects.toThrow(/team\/sql.*404/);
  });

  it('is not made under a digest that the files do not have', async () => {
    const { host, seen } = await serve({});
    const other = `sha256:${'0'.repeat(64)}`;
    expect(await codeOf(() => push(host, `@${other}`))).toBe('DIGEST_MISMATCH');
    expect(seen).toEqual([]);
  });
});
