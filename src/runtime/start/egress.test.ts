import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import type { Source } from '../../api/source.ts';
import { parseReference } from '../../artifact/reference.ts';
import { Registry } from '../../artifact/registry.ts';
import { registryOptions } from '../../artifact/registry-options.fixture.ts';
import type { Lookup } from '../../egress/guarded-fetch.ts';
import { serve } from '../../egress/loopback-server.fixture.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { NodeEgress, type Sources } from './egress.ts';

type Given = Partial<ConstructorParameters<typeof NodeEgress>[0]> & {
  readonly environment?: Readonly<Record<string, string>>;
  readonly lookup?: Lookup;
} & Partial<Sources>;

const node = ({ environment = {}, lookup, hasTenants = true, listed = () => [], ...rules }: Given) => {
  const none = {
    model: '/models/tiny',
    egressAllow: [],
    egressDeny: [],
    insecureRegistries: [],
    registryMirrors: new Map<string, readonly string[]>(),
    hfEndpoint: 'https://huggingface.co',
  };
  const egress = new NodeEgress({ ...none, ...rules }, environment, lookup);
  egress.follow({ hasTenants, listed });
  return egress;
};

const never = new AbortController().signal;
const manifest = (response: { end: (text: string) => void }) => response.end('{}');

/** What the node gets for an Adapter of a namespace from a registry: none of a manifest, else the code of its failure. */
const pull = async (egress: NodeEgress, image: string, namespace = 'team-a'): Promise<string> => {
  const registry = new Registry({
    fetch: egress.baseModel,
    ...registryOptions,
  });
  const through = egress.fetchFor(`${namespace}/sql` as ObjectKey, { oci: { image } });
  return await codeOf(() => registry.as(undefined, through).manifest(parseReference(image), 'v1', never));
};

describe('an adapter of a tenant', () => {
  it('makes a node ask neither this machine nor the metadata of an instance', async () => {
    const { host, asked } = await serve((_, response) => manifest(response));
    expect(await pull(node({}), `${host}/a:v1`)).toBe('EGRESS_DENIED');
    expect(await pull(node({}), '169.254.169.254/a:v1')).toBe('EGRESS_DENIED');
    expect(await pull(node({}), '10.43.0.1/a:v1')).toBe('EGRESS_DENIED');
    expect(asked).toEqual([]);
  });

  it('comes from a registry that its own policy lists, and from none that lists another', async () => {
    const { host, paths } = await serve((_, response) => manifest(response));
    const egress = node({ listed: (namespace) => (namespace === 'team-a' ? [`${host}/team-a`] : []) });
    expect(await pull(egress, `${host}/team-a/sql:v1`)).toBe('none');
    expect(await pull(egress, `${host}/team-a/sql:v1`, 'team-b')).toBe('EGRESS_DENIED');
    expect(paths()).toEqual(['/v2/team-a/sql/manifests/v1']);
  });

  it('comes from the registry of the base model, and from where the settings say', async () => {
    const { host } = await serve((_, response) => manifest(response));
    const image = `${host}/a:v1`;
    const model = `oci://${host}/models/tiny:v1`;
    expect(await pull(node({ model }), image)).toBe('none');
    expect(await pull(node({ insecureRegistries: [host] }), image)).toBe('none');
    expect(await pull(node({ egressAllow: ['127.0.0.0/8'] }), image)).toBe('none');
    expect(await pull(node({ egressAllow: ['127.0.0.0/8'], egressDeny: ['127.0.0.1'] }), image)).toBe(
      'EGRESS_DENIED',
    );
    const port = host.split(':')[1] ?? '';
    const environment = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: port };
    expect(await pull(node({ egressAllow: ['127.0.0.0/8'], environment }), image)).toBe('EGRESS_DENIED');
  });

  it('is not looked for where a registry leads that is listed', async () => {
    const inner = await serve((_, response) => manifest(response));
    for (const location of ['https://169.254.169.254/latest', `https://${inner.host}/inner`]) {
      const { host, asked } = await serve((_, response) => void response.writeHead(307, { location }).end());
      expect(await pull(node({ listed: () => [`${host}/a`] }), `${host}/a:v1`)).toBe('EGRESS_DENIED');
      expect(asked).toHaveLength(1);
    }
    expect(inner.asked).toEqual([]);
  });

  it('has no token asked for where a registry leads that is listed', async () => {
    const inner = await serve((_, response) => void response.end('{"token": "t"}'));
    for (const scheme of ['http', 'https']) {
      const realm = `Bearer realm="${scheme}://${inner.host}/token"`;
      const { host } = await serve((_, response) => {
        response.writeHead(401, { 'www-authenticate': realm }).end();
      });
      expect(await pull(node({ listed: () => [`${host}/a`] }), `${host}/a:v1`)).toBe('EGRESS_DENIED');
    }
    expect(inner.asked).toEqual([]);
  });

  it('comes from this machine by no name, also by one that is listed', async () => {
    const { host, asked } = await serve((_, response) => manifest(response));
    const name = `registry.internal:${host.split(':')[1]}`;
    const lookup: Lookup = async () => [{ address: '127.0.0.1', family: 4 }];
    expect(await pull(node({ lookup, listed: () => [name] }), `${name}/a:v1`)).toBe('EGRESS_DENIED');
    const insecure = node({ lookup, listed: () => [name], insecureRegistries: [name] });
    expect(await codeOf(() => insecure.baseModel(`http://${name}/`, { redirect: 'manual' }))).toBe(
      'EGRESS_DENIED',
    );
    expect(asked).toEqual([]);
  });
});

describe('a file of a web server, or of a hub', () => {
  const ask = async (egress: NodeEgress, source: Source, url: string, namespace = 'team-a') => {
    const through = egress.fetchFor(`${namespace}/sql` as ObjectKey, source);
    return await codeOf(() => through(url, { redirect: 'manual' }));
  };
  const http = (url: string): Source => ({ http: { url, sha256: '0'.repeat(64) } });
  const hub: Source = { huggingFace: { repo: 'a/b', revision: 'c'.repeat(40) } };

  it('comes from a private server that the policy of its namespace lists, and from none that lists another', async () => {
    const { host, paths } = await serve((_, response) => void response.end('x'));
    const url = `http://${host}/team-a/a.tar`;
    const egress = node({ listed: (namespace) => (namespace === 'team-a' ? [`http://${host}/team-a`] : []) });
    expect(await ask(egress, http(url), url)).toBe('none');
    expect(await ask(egress, http(url), url, 'team-b')).toBe('EGRESS_DENIED');
    expect(await ask(node({}), http(url), url)).toBe('EGRESS_DENIED');
    expect(paths()).toEqual(['/team-a/a.tar']);
  });

  it('comes from the hub of the settings, which is open to sources of a hub alone', async () => {
    const { host, paths } = await serve((_, response) => void response.end('x'));
    const url = `http://${host}/api/models/a/b`;
    const egress = node({ hfEndpoint: `http://${host}` });
    expect(await ask(egress, hub, url)).toBe('none');
    expect(await ask(egress, http(url), url)).toBe('EGRESS_DENIED');
    expect(await ask(egress, { oci: { image: `${host}/a:v1` } }, url)).toBe('EGRESS_DENIED');
    expect(paths()).toEqual(['/api/models/a/b']);
  });

  it('is brought by a node that follows a folder from this machine, and from no metadata service', async () => {
    const { host } = await serve((_, response) => void response.end('x'));
    const egress = node({ hasTenants: false });
    const url = `http://${host}/a.tar`;
    expect(await ask(egress, http(url), url)).toBe('none');
    const metadata = 'http://169.254.169.254/a.tar';
    expect(await ask(egress, http(url), metadata)).toBe('EGRESS_DENIED');
  });
});

describe('a registry that is listed as localhost', () => {
  it('is one port of this machine', async () => {
    const { port, paths } = await serve((_, response) => manifest(response));
    const other = await serve((_, response) => manifest(response));
    const lookup: Lookup = async () => [{ address: '127.0.0.1', family: 4 }];
    const egress = node({ lookup, listed: () => [`localhost:${port}`] });
    expect(await pull(egress, `localhost:${port}/a:v1`)).toBe('none');
    expect(await pull(egress, `localhost:${other.port}/a:v1`)).toBe('EGRESS_DENIED');
    expect([paths(), other.asked]).toEqual([['/v2/a/manifests/v1'], []]);
  });
});

describe('a node that follows a folder', () => {
  it('asks this machine, as the folder says, and no address that is link-local', async () => {
    const { host } = await serve((_, response) => manifest(response));
    const egress = node({ hasTenants: false });
    expect(await pull(egress, `${host}/a:v1`)).toBe('none');
    const location = 'https://169.254.169.254/latest';
    const leading = await serve((_, response) => void response.writeHead(307, { location }).end());
    expect(await pull(egress, `${leading.host}/a:v1`)).toBe('EGRESS_DENIED');
  });

  it.each(['100.100.100.200', '[fd00:ec2::254]', '[64:ff9b:1::a9fe:a9fe]'])(
    'is led to no metadata of an instance that is among private addresses: %s',
    async (metadata) => {
      const location = `https://${metadata}/latest`;
      const { host } = await serve((_, response) => void response.writeHead(307, { location }).end());
      expect(await pull(node({ hasTenants: false }), `${host}/a:v1`)).toBe('EGRESS_DENIED');
    },
  );
});
