import { describe, it } from 'vitest';
import { document, expectMessages, type Fields, type Row } from './manifests.fixture.ts';

const digest = `sha256:${'0'.repeat(64)}`;

const otherDigest = `sha256:${'1'.repeat(64)}`;

const path = { path: { path: 'team-a/sql' } };

const adapter = (fields: Fields = {}) => document('Adapter', { baseModel: 'tiny', source: path, ...fields });

const image = (value: unknown, fields: Fields = {}) =>
  adapter({ source: { oci: { image: value } }, ...fields });

const smoke = (...smokeTests: Fields[]) =>
  adapter({
    validation: {
      smokeTests: smokeTests.map((test) => ({ name: 'a', prompt: 'p', expect: { contains: 'x' }, ...test })),
    },
  });

const duration = 'must be a duration such as 500ms, 30s, 1m30s or 24h (units: ms, s, m, h)';

const sourceRule =
  'must have exactly one of oci, path, http, huggingFace, for example oci: {image: registry.example/team-a/sql:v2}';

const at = {
  image: 'spec.source.oci.image',
  path: 'spec.source.path.path',
  test: 'spec.validation.smokeTests[0]',
};

const pathForm =
  'must be segments of letters, digits, ".", "_", "@", "+", "=" and "-" that do not start with ".", joined by single "/", for example team-a/sql-v2';

const pullSecret = (pullSecretRef: unknown) =>
  adapter({ source: { oci: { image: 'registry.example/sql:v1', pullSecretRef } } });

const sha256 = '0'.repeat(64);
const http = (more: Fields) =>
  adapter({ source: { http: { url: 'https://files.example/a.tar.gz', sha256, ...more } } });
const hub = (more: Fields) =>
  adapter({ source: { huggingFace: { repo: 'team-a/sql', revision: 'c'.repeat(40), ...more } } });
const byKey = { name: 'login', key: 'token' };

const rows: readonly Row[] = [
  ['an archive without a sha256', http({ sha256: undefined }), 'spec.source.http.sha256 is required'],
  [
    'an archive of which nobody says what it is',
    http({ url: 'https://files.example/a.rar' }),
    'spec.source.http.archive: must be one of tar, tar.gz, tar.zst, zip: the path of the address does not end in .tar, .tar.gz, .tgz, .tar.zst or .zip',
  ],
  [
    'an address with a password',
    http({ url: 'https://me:secret@files.example/a.tar' }),
    'spec.source.http.url: must not have a user or a password: everybody who may read the Adapter would read it; use header',
  ],
  [
    'an address of another protocol',
    http({ url: 'ftp://files.example/a.tar' }),
    'spec.source.http.url: must start with https://, or with http:// where the administrator allows it',
  ],
  [
    'an address with a port that there is not',
    http({ url: 'https://files.example:99999/a.tar' }),
    'spec.source.http.url: must be a valid address',
  ],
  [
    'a header that says something else than who asks',
    http({ header: { name: 'Range', secretKeyRef: byKey } }),
    'spec.source.http.header.name: must be Authorization, or begin with X-, or end with -Token or -Key, for example PRIVATE-TOKEN',
  ],
  [
    'a header whose value is not out of a Secret',
    http({ header: { name: 'X-Token', value: 'secret', secretKeyRef: byKey } }),
    'unknown field spec.source.http.header.value',
  ],
  [
    'a branch of a hub',
    hub({ revision: 'main' }),
    'spec.source.huggingFace.revision: must be a commit, 40 lower-case hexadecimal digits, as a branch or a tag may move: `adaptlet digest hf://owner/name@main` prints the one that it has now',
  ],
  [
    'a repository without its owner',
    hub({ repo: 'sql' }),
    'spec.source.huggingFace.repo: must be owner/name, for example team-a/sql-lora',
  ],
  [
    'a folder that leads out of a repository',
    hub({ subfolder: '../other' }),
    'spec.source.huggingFace.subfolder: must not have ".." segments: write a path below an import root of the runtime',
  ],
  [
    'a pull Secret of another namespace',
    pullSecret({ name: 'login', namespace: 'team-b' }),
    'unknown field spec.source.oci.pullSecretRef.namespace',
  ],
  ['a pull Secret without a name', pullSecret({}), 'spec.source.oci.pullSecretRef.name is required'],
  [
    'a pull Secret beside the source',
    adapter({ pullSecretRef: { name: 'login' } }),
    'unknown field spec.pullSecretRef',
  ],
  [
    'a field that is spelled wrong',
    adapter({ piority: 1 }),
    'unknown field spec.piority, did you mean priority',
  ],
  ['a field that nothing is like', adapter({ colour: 'red' }), 'unknown field spec.colour'],
  [
    'a field in the wrong case',
    adapter({ BaseModelDigests: [] }),
    'unknown field spec.BaseModelDigests, did you mean baseModelDigests',
  ],
  ['no base model', document('Adapter', { source: path }), 'spec.baseModel is required'],
  [
    'a base model with a slash',
    adapter({ baseModel: 'org/tiny' }),
    'spec.baseModel: must be letters, digits, ".", "_" or "-" and start and end with a letter or digit; "/" and ":" are not part of a model name',
  ],
  [
    'a short digest',
    adapter({ digest: 'sha256:abc' }),
    'spec.digest: must be sha256: followed by 64 lowercase hexadecimal digits',
  ],
  ['a priority beyond its range', adapter({ priority: 1001 }), 'spec.priority: must be at most 1000'],
  ['a priority with a fraction', adapter({ priority: 0.5 }), 'spec.priority: must be a whole number'],
  ['a text where true or false belongs', adapter({ pinned: 'yes' }), 'spec.pinned: must be true or false'],
  [
    'a tier in the wrong case',
    adapter({ preload: { tier: 'memory' } }),
    'spec.preload.tier: must be one of None, Disk, Memory; did you mean Memory',
  ],
  [
    'no base model digest in the list',
    adapter({ baseModelDigests: [] }),
    'spec.baseModelDigests: must have at least 1 item',
  ],
  [
    'more base model digests than allowed',
    adapter({ baseModelDigests: Array(17).fill(digest) }),
    'spec.baseModelDigests: must have at most 16 items',
  ],
  ['no source', adapter({ source: {} }), `spec.source: ${sourceRule}; it has none`],
  [
    'two sources',
    adapter({ source: { ...path, oci: { image: 'r.io/a:v1' } } }),
    `spec.source: ${sourceRule}; it has oci, path: remove all but one`,
  ],
  [
    'a source that is spelled wrong',
    adapter({ source: { ocl: {} } }),
    'unknown field spec.source.ocl, did you mean oci',
  ],
  [
    'a source that comes later',
    adapter({ source: { git: {}, path: { path: 'a' } } }),
    'unknown field spec.source.git',
  ],
  [
    'an absolute path',
    adapter({ source: { path: { path: '/etc/passwd' } } }),
    `${at.path}: must be relative to an import root of the runtime, not absolute: write team-a/sql-v2`,
  ],
  [
    'a path that climbs out',
    adapter({ source: { path: { path: 'a/../../b' } } }),
    `${at.path}: must not have ".." segments: write a path below an import root of the runtime`,
  ],
  ['a path with a NUL', adapter({ source: { path: { path: 'a\0b' } } }), `${at.path}: ${pathForm}`],
  [
    'a path with a hidden folder',
    adapter({ source: { path: { path: 'a/.git' } } }),
    `${at.path}: ${pathForm}`,
  ],
  ['a path with a backslash', adapter({ source: { path: { path: 'a\\b' } } }), `${at.path}: ${pathForm}`],
  [
    'a path with an empty segment',
    adapter({ source: { path: { path: 'a//b' } } }),
    `${at.path}: ${pathForm}`,
  ],
  [
    'a path that is too long',
    adapter({ source: { path: { path: 'a'.repeat(1025) } } }),
    `${at.path}: must have at most 1024 characters`,
  ],
  [
    'a {user} outside of a per-user source',
    adapter({ source: { path: { path: 'users/{user}' } } }),
    `${at.path}: ${pathForm}`,
  ],
  [
    'an image with a scheme',
    image('https://r.io/a/b:v1'),
    `${at.image}: must not start with a scheme: write registry.example/team-a/sql:v2`,
  ],
  [
    'an image without a registry',
    image('team-a/sql:v2'),
    `${at.image}: must start with the host of the registry: write registry.example/team-a/sql:v2`,
  ],
  [
    'an image with capitals',
    image('r.io/Team/sql:v2'),
    `${at.image}: must have a repository in lower case: write registry.example/team-a/sql:v2`,
  ],
  [
    'an image with a space',
    image('r.io/a b:v2'),
    `${at.image}: must be an image reference, registry/repository:tag or registry/repository@sha256:…, for example registry.example/team-a/sql:v2`,
  ],
  [
    'an image with neither tag nor digest',
    image('r.io/a/b'),
    `${at.image}: needs a tag or a digest, or set spec.digest`,
  ],
  [
    'two digests that differ',
    image(`r.io/a/b@${digest}`, { digest: otherDigest }),
    'spec.digest: must equal the digest in spec.source.oci.image: keep one of the two',
  ],
  ['an image with port, tag and digest', image(`localhost:5000/a/b_c/d__e:v1.2@${digest}`, { digest })],
  ['an image of which only spec.digest is known', image('registry:5000/a', { digest })],
  ['an image from an IPv6 registry', image('[::1]:5000/a:v1')],
  [
    'a duration without a unit',
    adapter({ validation: { maxLatency: '30' } }),
    `spec.validation.maxLatency: ${duration}`,
  ],
  [
    'a negative duration',
    adapter({ validation: { maxLatency: '-1s' } }),
    `spec.validation.maxLatency: ${duration}`,
  ],
  [
    'a duration that is a number',
    adapter({ validation: { maxLatency: 5 } }),
    'spec.validation.maxLatency: must be a text: put it in quotes, "5"',
  ],
  [
    'a duration of years',
    adapter({ validation: { maxLatency: '9000h' } }),
    'spec.validation.maxLatency: must be at most 8784h',
  ],
  [
    'a smoke test without an expectation',
    smoke({ expect: {} }),
    `${at.test}.expect: must have exactly one of contains, equals, regex, for example contains: SELECT; it has none`,
  ],
  [
    'a smoke test with two expectations',
    smoke({ expect: { equals: '', regex: 'a' } }),
    `${at.test}.expect: must have exactly one of contains, equals, regex, for example contains: SELECT; it has equals, regex: remove all but one`,
  ],
  ['a smoke test without a prompt', smoke({ prompt: '' }), `${at.test}.prompt: must not be empty`],
  [
    'a smoke test with too many tokens',
    smoke({ maxTokens: 5000 }),
    `${at.test}.maxTokens: must be at most 1024`,
  ],
  [
    'two smoke tests of the same name',
    smoke({}, {}),
    'spec.validation.smokeTests[1].name: must be unique in the list, item 0 has the name a already',
  ],
  [
    'a pattern with look-ahead',
    smoke({ expect: { regex: '(?=a)' } }),
    `${at.test}.expect.regex: must be a regular expression in RE2 syntax (no look-around, no back-references): invalid or unsupported Perl syntax: \`(?=\``,
  ],
  [
    'a pattern that multiplies',
    smoke({ expect: { regex: '(a{1000}){1000}' } }),
    `${at.test}.expect.regex: must be a regular expression in RE2 syntax (no look-around, no back-references): invalid repeat count: \`{1000}\``,
  ],
  [
    'a pattern that is too long',
    smoke({ expect: { regex: 'a'.repeat(513) } }),
    `${at.test}.expect.regex: must have at most 512 characters`,
  ],
];

describe('an Adapter, good or bad', () => {
  it.each(rows)('%s', (_, text, ...messages) => {
    expectMessages(text, messages);
  });
});
