import { describe, expect, it } from 'vitest';
import { parseManifests } from './parse.ts';

type Fields = Readonly<Record<string, unknown>>;

const document = (kind: string, spec: unknown, more: Fields = {}) =>
  JSON.stringify({ apiVersion: 'adaptlet.io/v1alpha1', kind, metadata: { name: 'x' }, spec, ...more });

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
const rollout = (fields: Fields = {}) => document('AdapterRollout', { adapter: 'sql-v1', ...fields });
const steps = (...list: unknown[]) => rollout({ strategy: { canary: { steps: list } } });
const route = (...rules: Fields[]) =>
  document('AdapterRoute', {
    model: 'm',
    rules: rules.map((rule) => ({ name: 'r', targets: [{ rollout: 'sql' }], ...rule })),
  });
const matching = (match: unknown) => route({ matches: [match] });
const perUser = (source: unknown) => route({ targets: undefined, perUser: { baseModel: 'tiny', source } });
const metadata = (fields: Fields) =>
  document('Adapter', { baseModel: 'tiny', source: path }, { metadata: { name: 'x', ...fields } });

const duration = 'must be a duration such as 500ms, 30s, 1m30s or 24h (units: ms, s, m, h)';
const sourceRule =
  'must have exactly one of oci, path, for example oci: {image: registry.example/team-a/sql:v2}';
const at = {
  image: 'spec.source.oci.image',
  path: 'spec.source.path.path',
  test: 'spec.validation.smokeTests[0]',
  step: 'spec.strategy.canary.steps[0]',
  match: 'spec.rules[0].matches[0]',
};
const pathForm =
  'must be segments of letters, digits, ".", "_", "@", "+", "=" and "-" that do not start with ".", joined by single "/", for example team-a/sql-v2';

/** A manifest, and the messages that it gets; none when it is good. */
const rows: readonly (readonly [what: string, text: string, ...messages: string[]])[] = [
  // The object itself
  [
    'another group',
    adapter().replace('adaptlet.io/v1alpha1', 'apps/v1').replace('"Adapter"', '"Deployment"'),
    'apiVersion "apps/v1" is not Adaptlet\'s: only objects of adaptlet.io/v1alpha1 belong in this file',
  ],
  [
    'another version',
    adapter().replace('v1alpha1', 'v1'),
    'apiVersion "adaptlet.io/v1" is not known: write adaptlet.io/v1alpha1',
  ],
  ['no apiVersion', '{"kind": "Adapter"}', 'apiVersion is required: write apiVersion: adaptlet.io/v1alpha1'],
  [
    'no kind',
    '{"apiVersion": "adaptlet.io/v1alpha1"}',
    'kind is required: one of Adapter, AdapterRollout, AdapterRoute',
  ],
  [
    'a kind that is spelled wrong',
    document('AdapterRolout', {}),
    'kind "AdapterRolout" is not known: did you mean AdapterRollout',
  ],
  [
    'a list of objects',
    document('List', {}),
    'kind "List" is not known: one of Adapter, AdapterRollout, AdapterRoute',
  ],
  [
    'a kind that is a map',
    document('Adapter', {}).replace('"Adapter"', '{"a": 1}'),
    'kind {"a":1} is not known: one of Adapter, AdapterRollout, AdapterRoute',
  ],
  [
    'a runtime',
    document('AdapterRuntime', {}),
    'an AdapterRuntime is written by Adaptlet, not by a file: remove it',
  ],
  ['no spec', document('Adapter', undefined), 'spec is required'],
  ['an empty spec', document('Adapter', null), 'spec: must be a map of fields, but nothing is written there'],
  [
    'a status',
    adapter().replace(/}$/, ', "status": {}}'),
    'status is written by Adaptlet: remove it from the file',
  ],
  ['a uid', metadata({ uid: 'u' }), 'metadata.uid is given by the server: remove it from the file'],
  [
    'generateName',
    metadata({ generateName: 'x-' }),
    'metadata.generateName makes a new object each time: write metadata.name',
  ],
  [
    'a name in capitals',
    metadata({ name: 'SQL' }),
    'metadata.name: must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
  ],
  ['a name that is a number', metadata({ name: 1 }), 'metadata.name: must be a text: put it in quotes, "1"'],
  [
    'a namespace with a dot',
    metadata({ namespace: 'a.b' }),
    'metadata.namespace: must be lower-case letters, digits or "-" and start and end with a letter or digit',
  ],
  [
    'a label value with a space',
    metadata({ labels: { team: 'a b' } }),
    'metadata.labels.team: must be a label value: at most 63 letters, digits, "-", "_" or ".", starting and ending with a letter or digit',
  ],
  [
    'a label key with a space',
    metadata({ labels: { 'a b': 'c' } }),
    'metadata.labels["a b"]: must be a label key: an optional DNS prefix and "/", then at most 63 letters, digits, "-", "_" or "."',
  ],
  [
    'labels and annotations',
    metadata({ labels: { 'example.com/team': 'a' }, annotations: { note: 'any text: at all' } }),
  ],

  // Adapter
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
    adapter({ source: { huggingFace: {} } }),
    'unknown field spec.source.huggingFace',
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

  // AdapterRollout
  [
    'an adapter in another namespace',
    rollout({ adapter: 'team-b/sql' }),
    'spec.adapter: must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
  ],
  [
    'a history limit that is too small',
    rollout({ revisionHistoryLimit: 1 }),
    'spec.revisionHistoryLimit: must be at least 2',
  ],
  [
    'a strategy that comes later',
    rollout({ strategy: { blueGreen: {} } }),
    'spec.strategy.canary is required',
    'unknown field spec.strategy.blueGreen',
  ],
  ['a weight above 100', steps({ setWeight: 101 }), `${at.step}.setWeight: must be at most 100`],
  [
    'an empty step',
    steps({}),
    `${at.step}: must have exactly one of setWeight, pause, for example setWeight: 20; it has none`,
  ],
  [
    'a step with two verbs',
    steps({ setWeight: 1, pause: {} }),
    `${at.step}: must have exactly one of setWeight, pause, for example setWeight: 20; it has setWeight, pause: remove all but one`,
  ],
  [
    'a step that is spelled wrong',
    steps({ setWieght: 5 }),
    `unknown field ${at.step}.setWieght, did you mean setWeight`,
  ],
  ['a step that is a text', steps('pause'), `${at.step}: must be a map of fields`],
  [
    'a pause that is written as nothing',
    steps({ pause: null }),
    `${at.step}.pause: must be a map of fields, but nothing is written there`,
  ],
  [
    'too many steps',
    steps(...Array(65).fill({ setWeight: 1 })),
    'spec.strategy.canary.steps: must have at most 64 items',
  ],
  [
    'steps that are a map',
    rollout({ strategy: { canary: { steps: {} } } }),
    'spec.strategy.canary.steps: must be a list',
  ],
  ['no steps at all', steps()],
  ['a pause without an end', steps({ setWeight: 5 }, { pause: {} })],

  // AdapterRoute
  [
    'a model with a colon',
    document('AdapterRoute', { model: 'route:x', rules: [{ name: 'r', targets: [{ base: true }] }] }),
    'spec.model: must be letters, digits, ".", "_" or "-" and start and end with a letter or digit; "/" and ":" are not part of a model name',
  ],
  ['no rules', route(), 'spec.rules: must have at least 1 item'],
  [
    'two rules of the same name',
    route({}, {}),
    'spec.rules[1].name: must be unique in the list, item 0 has the name r already',
  ],
  [
    'a rule that goes nowhere',
    route({ targets: undefined }),
    'spec.rules[0]: must have exactly one of targets, perUser, for example targets: [{rollout: sql}]; it has none',
  ],
  [
    'a rule with an empty list of targets',
    route({ targets: [] }),
    'spec.rules[0].targets: must have at least 1 item',
  ],
  [
    'a target that is two things',
    route({ targets: [{ rollout: 'a', base: true }] }),
    'spec.rules[0].targets[0]: must have exactly one of rollout, adapter, base, for example rollout: sql; it has rollout, base: remove all but one',
  ],
  [
    'a base that is false',
    route({ targets: [{ base: false }] }),
    'spec.rules[0].targets[0].base: must be true',
  ],
  [
    'a negative weight',
    route({ targets: [{ base: true, weight: -1 }] }),
    'spec.rules[0].targets[0].weight: must be at least 0',
  ],
  [
    'a weight on a fallback',
    route({ fallback: [{ base: true, weight: 1 }] }),
    'unknown field spec.rules[0].fallback[0].weight',
  ],
  [
    'a match of nothing',
    matching({}),
    `${at.match}: must have at least one of headers, user, tenant; a rule without matches takes every request`,
  ],
  [
    'a header in capitals',
    matching({ headers: [{ name: 'X-Team', value: 'a' }] }),
    `${at.match}.headers[0].name: must be a header name in lower case, as HTTP/2 and gRPC send it, for example x-department`,
  ],
  [
    'a header with a line break',
    matching({ headers: [{ name: 'a', value: 'a\nb' }] }),
    `${at.match}.headers[0].value: must not have control characters or line breaks`,
  ],
  [
    'a header pattern that does not compile',
    matching({ headers: [{ name: 'a', type: 'Regex', value: '(' }] }),
    `${at.match}.headers[0].value: must be a regular expression in RE2 syntax (no look-around, no back-references): missing closing ): \`(\``,
  ],
  ['the same text as an exact value', matching({ headers: [{ name: 'a', value: '(' }] })],
  [
    'a user by list and by prefix',
    matching({ user: { in: ['a'], prefix: 'b' } }),
    `${at.match}.user: must have exactly one of in, prefix, for example in: [u42]; it has in, prefix: remove all but one`,
  ],
  [
    'an empty list of users',
    matching({ user: { in: [] } }),
    `${at.match}.user.in: must have at least 1 item`,
  ],
  [
    'a user that is a number',
    matching({ user: { in: [42] } }),
    `${at.match}.user.in[0]: must be a text: put it in quotes, "42"`,
  ],
  [
    'too many users',
    matching({ user: { in: Array.from({ length: 257 }, (_, i) => `u${i}`) } }),
    `${at.match}.user.in: must have at most 256 items`,
  ],
  [
    'a user twice',
    matching({ user: { in: ['a', 'a'] } }),
    `${at.match}.user.in[1]: must be unique in the list, item 0 is a already`,
  ],
  [
    'a per-user image without {user}',
    perUser({ oci: { image: 'r.io/users:v1' } }),
    'spec.rules[0].perUser.source.oci.image: must contain {user}, for example registry.example/team-a/users/{user}:current',
  ],
  [
    'a per-user path with another placeholder',
    perUser({ path: { path: 'users/{user}/{tenant}' } }),
    'spec.rules[0].perUser.source.path.path: must have no other placeholder than {user}, for example team-a/users/{user}',
  ],
  [
    'a per-user path that climbs out',
    perUser({ path: { path: '../{user}' } }),
    'spec.rules[0].perUser.source.path.path: must not have ".." segments: write a path below an import root of the runtime',
  ],
  ['a per-user image', perUser({ oci: { image: 'r.io/users/u-{user}:{user}' } })],
  ['a per-user path', perUser({ path: { path: 'users/{user}' } })],
];

describe('manifests, good and bad', () => {
  it.each(rows)('%s', (_, text, ...messages) => {
    const { problems, documents } = parseManifests(text, 'a.yaml', { defaultNamespace: 'default' });
    expect(problems.map((problem) => problem.reason).toSorted()).toEqual(messages.toSorted());
    expect(documents).toHaveLength(messages.length === 0 ? 1 : 0);
  });
});
