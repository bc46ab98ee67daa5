import { isAbsolute, normalize } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { credentialsOf, entryFor, parseDockerConfig } from '../../../../src/artifact/docker-config.ts';
import { inspectImage } from '../../../../src/artifact/inspect.ts';
import { layersOf } from '../../../../src/artifact/layers.ts';
import { defaultLimits, parseManifest, totalBytes } from '../../../../src/artifact/manifest.ts';
import { apiHostOf, parseReference } from '../../../../src/artifact/reference.ts';
import { answerChallenge, parseChallenges } from '../../../../src/artifact/registry-auth.ts';
import { codesOf, jsonTexts, texts } from '../examples.ts';
import { words } from '../mutators/bytes.ts';
import { json } from '../mutators/json.ts';
import { must, type Target, textOf } from '../target.ts';

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const layer = (mediaType: string, annotations: Readonly<Record<string, string>>, digit = 'a') => ({
  mediaType,
  digest: digest(digit),
  size: 10,
  annotations,
});
const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digest('0'), size: 2 };
const title = 'org.opencontainers.image.title';
const path = 'org.cncf.model.filepath';

const manifests = [
  {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    artifactType: 'application/vnd.adaptlet.adapter.v1',
    config,
    layers: [
      layer('application/vnd.cncf.model.weight.config.v1.raw', { [path]: 'adapter_config.json' }),
      layer(
        'application/vnd.cncf.model.weight.v1.raw',
        { [path]: 'adapter_model.safetensors', [title]: 'x' },
        'b',
      ),
    ],
    annotations: { 'org.opencontainers.image.created': '2026-01-01T00:00:00Z' },
  },
  {
    schemaVersion: 2,
    config,
    layers: [
      layer('application/vnd.oci.image.layer.v1.tar+gzip', {
        'io.deis.oras.content.unpack': 'true',
        [title]: 'd',
      }),
    ],
  },
  { schemaVersion: 2, config, layers: [layer('application/vnd.cncf.model.weight.v1.tar+zstd', {})] },
  {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ ...config, platform: { os: 'linux' } }],
  },
];

const image = parseReference('registry.example/team-a/sql:v2');

const manifest: Target = {
  name: 'oci-manifest',
  reads: 'src/artifact/manifest.ts, layers.ts, inspect.ts',
  examples: () => jsonTexts(...manifests),
  mutators: [json],
  codes: codesOf('ARTIFACT_'),
  run: async (bytes) => {
    const read = parseManifest(bytes, defaultLimits, 'x');
    must(totalBytes(read) <= defaultLimits.maxBytes, 'more bytes than the limit');
    for (const content of layersOf(read, 'x')) {
      if (content.kind !== 'file') continue;
      const { name } = content;
      must(!isAbsolute(name) && normalize(name) === name && !name.startsWith('..'), `the file ${name}`);
      must(
        name.split('/').every((part) => Buffer.byteLength(part) <= 255),
        'a name that no disk takes',
      );
    }
    const again = parseManifest(
      Buffer.from(JSON.stringify({ schemaVersion: 2, ...read })),
      defaultLimits,
      'x',
    );
    must(JSON.stringify(again) === JSON.stringify(read), 'written again, it is another manifest');
    const registry = { manifest: async () => bytes, small: async () => bytes };
    await inspectImage(registry, image, new AbortController().signal);
    return '';
  },
};

const reference: Target = {
  name: 'image-reference',
  reads: 'src/artifact/reference.ts',
  examples: () =>
    texts(
      'registry.example/team-a/sql:v2',
      `localhost:5000/a@${digest('a')}`,
      `[::1]:5000/a/b_c__d-e.f:1@${digest('0')}`,
      'docker.io/library/x',
      '10.0.0.1:80/x',
    ),
  mutators: [
    words([
      '/',
      ':',
      '@',
      '.',
      '..',
      '-',
      '_',
      '__',
      'sha256:',
      '%2e',
      '[::1]',
      ':65536',
      '255.255.255.256',
      '0x7f.1',
    ]),
  ],
  codes: ['ARTIFACT_REFERENCE_INVALID'],
  run: (bytes) => {
    const read = parseReference(textOf(bytes));
    const { registry, repository, tag, digest: of } = read;
    const written = `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${of === undefined ? '' : `@${of}`}`;
    must(isDeepStrictEqual(parseReference(written), read), `written again as ${written}, it is another one`);
    const url = new URL(`https://${apiHostOf(registry)}/v2/${repository}/manifests/latest`);
    must(url.pathname === `/v2/${repository}/manifests/latest`, `leads to ${url.pathname}`);
    must(url.username === '' && url.search === '', 'has more than a host');
    return '';
  },
};

const challenge: Target = {
  name: 'www-authenticate',
  reads: 'src/artifact/registry-auth.ts',
  examples: () =>
    texts(
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:team-a/sql:pull"',
      'Basic realm="x", Bearer realm="https://auth.example/token?scope=x", error="insufficient_scope"',
      'Negotiate, Basic realm="a \\"b\\""',
    ),
  mutators: [
    words([
      'Bearer ',
      'Basic ',
      'realm=',
      '"',
      '\\',
      ',',
      '=',
      ' ',
      'scope="',
      'https://',
      'http://[',
      '\u0000',
      'é',
    ]),
  ],
  codes: ['REGISTRY_DENIED'],
  run: async (bytes) => {
    const header = Buffer.from(bytes).toString('latin1').slice(0, 16_384);
    for (const { scheme, parameters } of parseChallenges(header))
      for (const name of [scheme, ...parameters.keys()])
        must(name === name.toLowerCase(), `the name ${name}`);
    const login = { username: 'u', password: 'p' };
    const get = async (url: URL): Promise<Response> => {
      must(
        url.searchParams.getAll('scope').join() === 'repository:team-a/sql:pull',
        `asks for ${url.searchParams.getAll('scope').join()}`,
      );
      return new Response(JSON.stringify({ token: 't', expires_in: 1e9 }));
    };
    const { header: answer, lifetimeMs } = await answerChallenge(header, image, login, get, true);
    must(lifetimeMs > 0 && lifetimeMs <= 3_600_000, `lasts ${lifetimeMs} ms`);
    return answer.split(' ')[0] ?? '';
  },
};

const dockerConfig: Target = {
  name: 'docker-config',
  reads: 'src/artifact/docker-config.ts',
  examples: () =>
    jsonTexts(
      {
        auths: {
          'https://index.docker.io/v1/': { auth: 'dTpw' },
          'registry.example': { username: 'u', password: 'p' },
          'token.example': { auth: 'dTpw', identitytoken: 't' },
        },
      },
      {
        auths: { '*.example': { auth: 'dTpw' }, 'registry.example/team-a': { auth: 'dTpw' } },
        credsStore: 'x',
      },
    ),
  mutators: [json],
  codes: ['CREDENTIALS_INVALID'],
  run: (bytes) => {
    const read = parseDockerConfig(textOf(bytes), 'x');
    const entry = entryFor(read, 'registry.example', 'team-a/sql');
    const found = entry && credentialsOf(entry);
    if (found === undefined) return 'none';
    const secrets = 'identityToken' in found ? [found.identityToken] : [found.username, found.password];
    must(
      secrets.every((text) => typeof text === 'string'),
      'no texts',
    );
    return 'identityToken' in found ? 'token' : 'password';
  },
};

export const artifactTargets: readonly Target[] = [manifest, reference, challenge, dockerConfig];
