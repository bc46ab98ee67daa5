import {
  bad,
  badForParser,
  digest,
  type Fields,
  good,
  manifest,
  otherDigest,
  type Row,
} from './manifests.ts';
import { webRows } from './web-manifests.ts';

const path = { path: { path: 'team-a/sql' } };
const adapter = (fields: Fields = {}) => manifest('Adapter', { baseModel: 'tiny', source: path, ...fields });
const raw = (line: string) => `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: x}
spec:
  baseModel: tiny
  source: {path: {path: a}}
  ${line}
`;
const image = (value: unknown, fields: Fields = {}) =>
  adapter({ source: { oci: { image: value } }, ...fields });
const folder = (value: unknown) => adapter({ source: { path: { path: value } } });
const validated = (fields: Fields) => adapter({ validation: fields });
const smoke = (...tests: Fields[]) =>
  validated({
    smokeTests: tests.map((test, i) => ({ name: `t${i}`, prompt: 'p', expect: { contains: 'x' }, ...test })),
  });
const preload = (fields: Fields) => adapter({ preload: fields });
const labels = (matchLabels: Fields) => preload({ runtimeSelector: { matchLabels } });

export const adapterRows: readonly Row[] = [
  ...webRows,
  good(
    'an Adapter as in the documentation',
    `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: sql-v2}
spec:
  baseModel: smollm2-135m
  source: {oci: {image: "registry.example/team-a/sql:v2"}}
`,
  ),
  good(
    'every field of an Adapter',
    adapter({
      baseModelDigests: [digest, otherDigest],
      source: {
        oci: {
          image: `localhost:5000/a/b_c/d__e:v1.2@${digest}`,
          pullSecretRef: { name: 'registry.login-1' },
        },
      },
      digest,
      priority: -1000,
      pinned: true,
      preload: { tier: 'Memory', runtimeSelector: { matchLabels: { 'adaptlet.io/zone': 'a', empty: '' } } },
      validation: {
        maxLatency: '1m30s',
        allowNoEffect: true,
        smokeTests: [
          { name: 'a', prompt: 'p', maxTokens: 1024, expect: { equals: '' } },
          { name: 'b', prompt: 'p', expect: { regex: '(?i)^\\s*select ' } },
        ],
      },
    }),
  ),
  good('a path', adapter()),
  good('an image of which only spec.digest is known', image('registry:5000/a', { digest })),
  good('an image with an equal spec.digest', image(`r.io/a@${digest}`, { digest })),
  good('an image from an IPv6 registry', image('[::1]:5000/a:v1')),
  ...['8784h', '31622400000ms', '527040m', '1.5h0.25s', '0000000000000000000000000000001s', '0ms'].map(
    (maxLatency) => good(`a duration of ${maxLatency}`, validated({ maxLatency })),
  ),
  ...['(?i)^\\s*select ', '\\p{Greek}+', 'a{1,3}?', '[[:alpha:]]', '(?P<x>a|b)*'].map((regex) =>
    good(`the pattern ${regex}`, smoke({ expect: { regex } })),
  ),
  good('label keys with and without a prefix', labels({ a: '', 'x.y-z/A_b.c': 'V', ['a'.repeat(63)]: 'x' })),
  good(
    'labels and annotations',
    manifest(
      'Adapter',
      { baseModel: 'tiny', source: path },
      {
        metadata: {
          name: 'x',
          labels: { 'app.kubernetes.io/name': 'x' },
          annotations: { 'example.com/note': 'free text' },
        },
      },
    ),
  ),

  good('whole numbers with a fraction of zero', raw('priority: 1.0')),
  good('the longest prompt, in characters and not in bytes', smoke({ prompt: '\u{1f600}'.repeat(16_384) })),

  bad(
    'no spec',
    '{"apiVersion":"adaptlet.io/v1alpha1","kind":"Adapter","metadata":{"name":"x"}}',
    'spec: Required value',
  ),
  bad(
    'a name in capitals',
    manifest('Adapter', { baseModel: 'tiny', source: path }, { metadata: { name: 'SQL_v2' } }),
    'metadata.name: Invalid value: "SQL_v2": a lowercase RFC 1123 subdomain',
  ),
  bad('a field that is spelled wrong', adapter({ piority: 1 }), 'unknown field "spec.piority"'),
  bad(
    'a field in the wrong case',
    adapter({ BaseModelDigests: [digest] }),
    'unknown field "spec.BaseModelDigests"',
  ),
  bad(
    'a field that is deep and spelled wrong',
    smoke({ maxToken: 3 }),
    'unknown field "spec.validation.smokeTests[0].maxToken"',
  ),
  bad('no base model', manifest('Adapter', { source: path }), 'spec.baseModel: Required value'),
  bad(
    'a pull Secret without a name',
    adapter({ source: { oci: { image: 'r.io/a:v1', pullSecretRef: {} } } }),
    'spec.source.oci.pullSecretRef.name: Required value',
  ),
  bad(
    'a pull Secret whose name none can have',
    adapter({ source: { oci: { image: 'r.io/a:v1', pullSecretRef: { name: 'team-b/login' } } } }),
    'spec.source.oci.pullSecretRef.name: Invalid value: "string": must be lower-case letters',
  ),
  bad('no source', manifest('Adapter', { baseModel: 'tiny' }), 'spec.source: Required value'),
  bad(
    'a base model with a slash',
    adapter({ baseModel: 'org/tiny' }),
    'spec.baseModel: Invalid value: "string": must be letters, digits, ".", "_" or "-" and start and end with a letter or digit; "/" and ":" are not part of a model name',
  ),
  bad(
    'a base model that is too long',
    adapter({ baseModel: 'a'.repeat(129) }),
    'spec.baseModel: Too long: may not be more than 128 bytes',
  ),
  bad(
    'a base model that is a number',
    adapter({ baseModel: 7 }),
    'spec.baseModel: Invalid value: "integer": spec.baseModel in body must be of type string: "integer"',
  ),
  bad(
    'a short digest',
    adapter({ digest: 'sha256:abc' }),
    'spec.digest: Invalid value: "string": must be sha256: followed by 64 lowercase hexadecimal digits',
  ),
  bad(
    'a digest in capitals',
    adapter({ digest: `sha256:${'A'.repeat(64)}` }),
    'spec.digest: Invalid value: "string": must be sha256: followed by 64 lowercase hexadecimal digits',
  ),
  bad(
    'a priority above its range',
    adapter({ priority: 1001 }),
    'spec.priority: Invalid value: 1001: spec.priority in body should be less than or equal to 1000',
  ),
  bad(
    'a priority below its range',
    adapter({ priority: -1001 }),
    'spec.priority: Invalid value: -1001: spec.priority in body should be greater than or equal to -1000',
  ),
  bad(
    'a priority with a fraction',
    adapter({ priority: 0.5 }),
    'spec.priority: Invalid value: "number": spec.priority in body must be of type integer: "number"',
  ),
  bad(
    'a text where true or false belongs',
    adapter({ pinned: 'yes' }),
    'spec.pinned: Invalid value: "string": spec.pinned in body must be of type boolean: "string"',
  ),
  bad(
    'a tier in the wrong case',
    preload({ tier: 'memory' }),
    'spec.preload.tier: Unsupported value: "memory": supported values: "None", "Disk", "Memory"',
  ),
  bad(
    'an empty list of base model digests',
    adapter({ baseModelDigests: [] }),
    'spec.baseModelDigests: Invalid value: 0: spec.baseModelDigests in body should have at least 1 items',
  ),
  bad(
    'too many base model digests',
    adapter({ baseModelDigests: Array(17).fill(digest) }),
    'spec.baseModelDigests: Too many: 17: must have at most 16 items',
  ),
  bad(
    'an empty source',
    adapter({ source: {} }),
    'spec.source: Invalid value: "object": must have exactly one of oci, path, http, huggingFace, for example oci: {image: registry.example/team-a/sql:v2}',
  ),
  bad(
    'two sources',
    adapter({ source: { ...path, oci: { image: 'r.io/a:v1' } } }),
    'spec.source: Invalid value: "object": must have exactly one of oci, path, http, huggingFace, for example oci: {image: registry.example/team-a/sql:v2}',
  ),
  bad(
    'a source of a later version',
    adapter({ source: { git: { repo: 'a/b' } } }),
    'unknown field "spec.source.git"',
  ),
  bad(
    'an absolute path',
    folder('/etc/passwd'),
    'spec.source.path.path: Invalid value: "string": must be relative to an import root of the runtime, not absolute: write team-a/sql-v2',
  ),
  bad(
    'a path that climbs out',
    folder('a/../../b'),
    'spec.source.path.path: Invalid value: "string": must not have ".." segments: write a path below an import root of the runtime',
  ),
  bad(
    'a path with a hidden folder',
    folder('a/.git'),
    'spec.source.path.path: Invalid value: "string": must be segments of letters, digits, ".", "_", "@", "+", "=" and "-" that do not start with ".", joined by single "/", for example team-a/sql-v2',
  ),
  bad(
    'a path with an empty segment',
    folder('a//b'),
    'spec.source.path.path: Invalid value: "string": must be segments of letters, digits, ".", "_", "@", "+", "=" and "-" that do not start with ".", joined by single "/", for example team-a/sql-v2',
  ),
  bad(
    'a path that is too long',
    folder('a'.repeat(1025)),
    'spec.source.path.path: Too long: may not be more than 1024 bytes',
  ),
  bad(
    'a {user} outside of a per-user source',
    folder('users/{user}'),
    'spec.source.path.path: Invalid value: "string": must be segments of letters, digits, ".", "_", "@", "+", "=" and "-" that do not start with ".", joined by single "/", for example team-a/sql-v2',
  ),
  bad(
    'an image with a scheme',
    image('https://r.io/a/b:v1'),
    'spec.source.oci.image: Invalid value: "string": must not start with a scheme: write registry.example/team-a/sql:v2',
  ),
  bad(
    'an image without a registry',
    image('team-a/sql:v2'),
    'spec.source.oci.image: Invalid value: "string": must start with the host of the registry: write registry.example/team-a/sql:v2',
  ),
  bad(
    'an image with capitals',
    image('r.io/Team/sql:v2'),
    'spec.source.oci.image: Invalid value: "string": must have a repository in lower case: write registry.example/team-a/sql:v2',
  ),
  bad(
    'an image with neither tag nor digest',
    image('r.io/a/b'),
    'spec: Invalid value: "object": spec.source.oci.image needs a tag or a digest, or set spec.digest',
  ),
  bad(
    'an image whose port is no tag',
    image('r.io:5000/a/b'),
    'spec: Invalid value: "object": spec.source.oci.image needs a tag or a digest, or set spec.digest',
  ),
  bad(
    'two digests that differ',
    image(`r.io/a/b@${digest}`, { digest: otherDigest }),
    'spec: Invalid value: "object": spec.digest must equal the digest in spec.source.oci.image: keep one of the two',
  ),
  bad(
    'a duration without a unit',
    validated({ maxLatency: '30' }),
    'spec.validation.maxLatency: Invalid value: "string": must be a duration such as 500ms, 30s, 1m30s or 24h (units: ms, s, m, h)',
  ),
  bad(
    'a negative duration',
    validated({ maxLatency: '-1s' }),
    'spec.validation.maxLatency: Invalid value: "string": must be a duration such as 500ms, 30s, 1m30s or 24h (units: ms, s, m, h)',
  ),
  ...['9000h', '31622401s', '527041m', '8784h1ms', '99999h99999h99999h99999h', '9'.repeat(31) + 's'].map(
    (maxLatency) =>
      bad(
        `a duration of ${maxLatency}`,
        validated({ maxLatency }),
        'spec.validation.maxLatency: Invalid value: "string": must be at most 8784h',
      ),
  ),
  bad(
    'a duration that is a number',
    validated({ maxLatency: 5 }),
    'spec.validation.maxLatency: Invalid value: "integer": spec.validation.maxLatency in body must be of type string: "integer"',
  ),
  bad(
    'a smoke test without an expectation',
    smoke({ expect: {} }),
    'spec.validation.smokeTests[0].expect: Invalid value: "object": must have exactly one of contains, equals, regex, for example contains: SELECT',
  ),
  bad(
    'a smoke test with two expectations',
    smoke({ expect: { equals: '', regex: 'a' } }),
    'spec.validation.smokeTests[0].expect: Invalid value: "object": must have exactly one of contains, equals, regex, for example contains: SELECT',
  ),
  bad(
    'a smoke test without a prompt',
    smoke({ prompt: '' }),
    'spec.validation.smokeTests[0].prompt: Invalid value: "": spec.validation.smokeTests[0].prompt in body should be at least 1 chars long',
  ),
  bad(
    'a smoke test with too many tokens',
    smoke({ maxTokens: 5000 }),
    'spec.validation.smokeTests[0].maxTokens: Invalid value: 5000: spec.validation.smokeTests[0].maxTokens in body should be less than or equal to 1024',
  ),
  bad(
    'a smoke test with no token',
    smoke({ maxTokens: 0 }),
    'spec.validation.smokeTests[0].maxTokens: Invalid value: 0: spec.validation.smokeTests[0].maxTokens in body should be greater than or equal to 1',
  ),
  bad(
    'two smoke tests of one name',
    smoke({ name: 'a' }, { name: 'a' }),
    'spec.validation.smokeTests[1]: Duplicate value: {"name":"a"}',
  ),
  bad(
    'too many smoke tests',
    smoke(...Array.from({ length: 17 }, () => ({}))),
    'spec.validation.smokeTests: Too many: 17: must have at most 16 items',
  ),
  bad(
    'a pattern that does not compile',
    smoke({ expect: { regex: '(' } }),
    'spec.validation.smokeTests[0].expect.regex: Invalid value: "string": error parsing regexp: missing closing ): `(` evaluating rule: must be a regular expression in RE2 syntax (no look-around, no back-references)',
  ),
  ...['a(?=b)', '(a)\\1', 'a++'].map((regex) =>
    bad(
      `the pattern ${regex}, which is not RE2`,
      smoke({ expect: { regex } }),
      'evaluating rule: must be a regular expression in RE2 syntax (no look-around, no back-references)',
    ),
  ),
  bad(
    'a pattern that is too long',
    smoke({ expect: { regex: 'a'.repeat(513) } }),
    'spec.validation.smokeTests[0].expect.regex: Too long: may not be more than 512 bytes',
  ),
  bad(
    'a label value with a space',
    labels({ zone: 'a b' }),
    'spec.preload.runtimeSelector.matchLabels[zone]: Invalid value: "string": must be a label value: at most 63 letters, digits, "-", "_" or ".", starting and ending with a letter or digit',
  ),
  ...['a b', '-a', 'A.b/c', 'a/b/c', `${'a'.repeat(254)}/${'b'.repeat(63)}`].map((key) =>
    bad(
      `the label key ${key.slice(0, 8)}`,
      labels({ [key]: 'x' }),
      'spec.preload.runtimeSelector.matchLabels: Invalid value: "object": each key must be a label key: an optional DNS prefix and "/", then at most 63 letters, digits, "-", "_" or "."',
    ),
  ),
  bad(
    'too many labels',
    labels(Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, 'x']))),
    'spec.preload.runtimeSelector.matchLabels: Too many: 17: must have at most 16 items',
  ),

  bad(
    'no name',
    manifest('Adapter', { baseModel: 'tiny', source: path }, { metadata: {} }),
    'metadata.name: Required value: name or generateName is required',
  ),
  bad(
    'a label of the object with a space',
    manifest(
      'Adapter',
      { baseModel: 'tiny', source: path },
      { metadata: { name: 'x', labels: { a: 'b c' } } },
    ),
    'metadata.labels: Invalid value: "b c": a valid label',
  ),
  bad(
    'an apiVersion of an older version',
    raw('priority: 1').replace('v1alpha1', 'v1alpha0'),
    'no matches for kind "Adapter" in version "adaptlet.io/v1alpha0"',
  ),

  badForParser(
    'a field that is written twice',
    raw('priority: 1\n  priority: 2'),
    'priority is written twice in the same map',
    'kubectl sends the last one and says nothing',
  ),
  badForParser(
    'yes, which YAML 1.1 takes for true',
    raw('pinned: yes'),
    'spec.pinned: must be true or false',
    'kubectl reads YAML 1.1 and sends true',
  ),
  badForParser(
    'a field that is written as nothing',
    raw('priority:'),
    'spec.priority: must be a number, but nothing is written there',
    'the API server takes nothing for absent and fills in the default',
  ),
];
