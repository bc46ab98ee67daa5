import { bad, type Fields, good, manifest, type Row } from './manifests.ts';

const route = (...rules: Fields[]) =>
  manifest('AdapterRoute', {
    model: 'm',
    rules: rules.map((rule, i) => ({ name: `r${i}`, targets: [{ rollout: 'sql' }], ...rule })),
  });
const matching = (match: unknown) => route({ matches: [match] });
const header = (fields: Fields) => matching({ headers: [{ name: 'a', value: 'b', ...fields }] });
const perUser = (source: unknown) => route({ targets: undefined, perUser: { baseModel: 'tiny', source } });
const target = (fields: Fields) => route({ targets: [fields] });

const everyCondition = {
  promptRegex: '(?i)invoice',
  locale: { in: ['de', 'fr-CA'] },
  deviceType: { in: ['phone'] },
  location: { in: ['DE-BY'] },
  task: { in: ['summarize'] },
  adapterHint: { in: ['medical-v2'] },
  classifier: { name: 'words', labels: ['medical'] },
};
const classifying = (examples: Fields, words: Fields = {}, matches: readonly Fields[] = []) =>
  manifest('AdapterRoute', {
    model: 'm',
    rules: [{ name: 'r', matches, targets: [{ base: true }] }],
    classifiers: [
      {
        name: 'words',
        minConfidence: 0.5,
        keywords: { labels: [{ name: 'medical', terms: [{ text: 'heart rate*', weight: 2 }] }] },
        cache: { by: 'Session' },
        ...words,
      },
      {
        name: 'table',
        minConfidence: 0.6,
        minMargin: 0.1,
        onUncertain: 'Refuse',
        maxTokens: 128,
        examples: {
          source: { oci: { image: 'r.io/team-a/intent:v1' } },
          digest: `sha256:${'0'.repeat(64)}`,
          labels: [{ name: 'a', texts: ['x'] }, { name: 'b', adapter: 'b-v1' }, { name: 'c' }],
          ...examples,
        },
      },
    ],
  });

export const routeRows: readonly Row[] = [
  good(
    'an AdapterRoute as in the documentation',
    `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: assistant}
spec:
  model: assistant
  rules:
  - name: medical
    matches:
    - headers: [{name: x-department, value: medical}]
    targets:
    - {rollout: medical, weight: 90}
    - {adapter: medical-exp, weight: 10}
    fallback: [{rollout: general}, {base: true}]
  - name: personal
    perUser: {baseModel: tiny, source: {oci: {image: "registry.example/team-a/users/{user}:current"}}}
    fallback: [{base: true}]
`,
  ),
  good(
    'every kind of match',
    matching({
      headers: [
        { name: 'a', type: 'Regex', value: 'x.*' },
        { name: 'b', type: 'Prefix', value: '(' },
      ],
      user: { prefix: 'beta-' },
      tenant: { in: ['a', 'b'] },
    }),
  ),
  good(
    'every condition on what is asked, and its negation',
    classifying({}, {}, [
      { ...everyCondition, not: [everyCondition, { headers: [{ name: 'a', value: 'b' }] }] },
    ]),
  ),
  good('classifiers of both kinds', classifying({})),
  good('a classifier whose labels its artifact has', classifying({ labels: undefined })),
  good(
    'a classifier that runs an encoder',
    classifying(
      {},
      {
        keywords: undefined,
        onnx: {
          source: { oci: { image: 'r.io/team-a/head:v1', pullSecretRef: { name: 'login' } } },
          digest: `sha256:${'0'.repeat(64)}`,
        },
      },
    ),
  ),
  bad(
    'a negation of nothing',
    matching({ not: [{}] }),
    'spec.rules[0].matches[0].not[0]: Invalid value: "object": must have at least one of headers, user, tenant, promptRegex, locale, deviceType, location, task, adapterHint, classifier',
  ),
  bad(
    'a pattern for prompts that does not compile',
    matching({ promptRegex: '(' }),
    'must be a regular expression in RE2 syntax (no look-around, no back-references)',
  ),
  bad(
    'a classifier that is nothing',
    classifying({}, { keywords: undefined }),
    'spec.classifiers[0]: Invalid value: "object": must have exactly one of keywords, examples, onnx, for example keywords: {labels: [{name: medical, terms: [{text: heart}]}]}',
  ),
  good(
    'as many users as allowed',
    matching({ user: { in: Array.from({ length: 256 }, (_, i) => `u${i}`) } }),
  ),
  good('as many rules as allowed', route(...Array.from({ length: 64 }, () => ({})))),
  good(
    'a per-user image with a pull Secret',
    perUser({ oci: { image: 'r.io/users/{user}:v1', pullSecretRef: { name: 'login' } } }),
  ),
  good('a per-user image', perUser({ oci: { image: 'r.io/users/u-{user}:{user}' } })),
  good('a per-user path', perUser({ path: { path: 'users/{user}' } })),
  good('a weight of nothing', target({ base: true, weight: 0 })),
  good('a rule that keeps decisions', route({ stickyDecision: {} })),
  good('a rule that keeps none', route({ stickyDecision: { keeps: 'Nothing' } })),
  good('what it does when uncertain', route({ stickyDecision: { onUncertain: 'Decide' } })),
  good('how it keeps them', route({ stickyDecision: { idleTimeout: '24h', keeps: 'Target' } })),
  bad(
    'a session that is kept for too long',
    route({ stickyDecision: { idleTimeout: '25h' } }),
    'spec.rules[0].stickyDecision.idleTimeout: Invalid value: "string": must be from 1s to 24h',
  ),

  bad(
    'no model',
    manifest('AdapterRoute', { rules: [{ name: 'r', targets: [{ base: true }] }] }),
    'spec.model: Required value',
  ),
  bad(
    'a model with a colon',
    manifest('AdapterRoute', { model: 'route:x', rules: [{ name: 'r', targets: [{ base: true }] }] }),
    'spec.model: Invalid value: "string": must be letters, digits, ".", "_" or "-" and start and end with a letter or digit; "/" and ":" are not part of a model name',
  ),
  bad('no rules', route(), 'spec.rules: Invalid value: 0: spec.rules in body should have at least 1 items'),
  bad(
    'too many rules',
    route(...Array.from({ length: 65 }, () => ({}))),
    'spec.rules: Too many: 65: must have at most 64 items',
  ),
  bad(
    'two rules of one name',
    route({ name: 'r' }, { name: 'r' }),
    'spec.rules: Invalid value: "array": names of rules must be unique in the list',
  ),
  bad(
    'a rule with a name in capitals',
    route({ name: 'Medical' }),
    'spec.rules[0].name: Invalid value: "string": must be lower-case letters, digits or "-" and start and end with a letter or digit',
  ),
  bad(
    'a rule that goes nowhere',
    route({ targets: undefined }),
    'spec.rules[0]: Invalid value: "object": must have exactly one of targets, perUser, for example targets: [{rollout: sql}]',
  ),
  bad(
    'a rule that goes to two places',
    route({ perUser: { baseModel: 'tiny', source: { path: { path: '{user}' } } } }),
    'spec.rules[0]: Invalid value: "object": must have exactly one of targets, perUser, for example targets: [{rollout: sql}]',
  ),
  bad(
    'a rule with an empty list of targets',
    route({ targets: [] }),
    'spec.rules[0].targets: Invalid value: 0: spec.rules[0].targets in body should have at least 1 items',
  ),
  bad(
    'too many targets',
    route({ targets: Array.from({ length: 17 }, () => ({ base: true })) }),
    'spec.rules[0].targets: Too many: 17: must have at most 16 items',
  ),
  bad(
    'a target that is two things',
    target({ rollout: 'a', base: true }),
    'spec.rules[0].targets[0]: Invalid value: "object": must have exactly one of rollout, adapter, base, for example rollout: sql',
  ),
  bad(
    'a target that is nothing',
    target({ weight: 5 }),
    'spec.rules[0].targets[0]: Invalid value: "object": must have exactly one of rollout, adapter, base, for example rollout: sql',
  ),
  bad(
    'a target in another namespace',
    target({ rollout: 'team-b/sql' }),
    'spec.rules[0].targets[0].rollout: Invalid value: "string": must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
  ),
  bad(
    'a base that is false',
    target({ base: false }),
    'spec.rules[0].targets[0].base: Unsupported value: false: supported values: "true"',
  ),
  bad(
    'a negative weight',
    target({ base: true, weight: -1 }),
    'spec.rules[0].targets[0].weight: Invalid value: -1: spec.rules[0].targets[0].weight in body should be greater than or equal to 0',
  ),
  bad(
    'a weight above its range',
    target({ base: true, weight: 1_000_001 }),
    'spec.rules[0].targets[0].weight: Invalid value: 1000001: spec.rules[0].targets[0].weight in body should be less than or equal to 1000000',
  ),
  bad(
    'a weight on a fallback',
    route({ fallback: [{ base: true, weight: 1 }] }),
    'unknown field "spec.rules[0].fallback[0].weight"',
  ),
  bad(
    'too many fallbacks',
    route({ fallback: Array.from({ length: 9 }, () => ({ base: true })) }),
    'spec.rules[0].fallback: Too many: 9: must have at most 8 items',
  ),
  bad(
    'a match of nothing',
    matching({}),
    'spec.rules[0].matches[0]: Invalid value: "object": must have at least one of headers, user, tenant, promptRegex, locale, deviceType, location, task, adapterHint, classifier, not; a rule without matches takes every request',
  ),
  bad(
    'a match by something of a later version',
    matching({ weekday: 'monday' }),
    'unknown field "spec.rules[0].matches[0].weekday"',
  ),
  bad(
    'a header in capitals',
    header({ name: 'X-Team' }),
    'spec.rules[0].matches[0].headers[0].name: Invalid value: "string": must be a header name in lower case, as HTTP/2 and gRPC send it, for example x-department',
  ),
  bad(
    'a header with a line break',
    header({ value: 'a\nb' }),
    'spec.rules[0].matches[0].headers[0].value: Invalid value: "a\\nb": spec.rules[0].matches[0].headers[0].value in body should match',
  ),
  bad(
    'a header of an unknown type',
    header({ type: 'regex' }),
    'spec.rules[0].matches[0].headers[0].type: Unsupported value: "regex": supported values: "Exact", "Prefix", "Regex"',
  ),
  bad(
    'a header without a value',
    matching({ headers: [{ name: 'a' }] }),
    'spec.rules[0].matches[0].headers[0].value: Required value',
  ),
  bad(
    'a user by list and by prefix',
    matching({ user: { in: ['a'], prefix: 'b' } }),
    'spec.rules[0].matches[0].user: Invalid value: "object": must have exactly one of in, prefix, for example in: [u42]',
  ),
  bad(
    'an empty list of users',
    matching({ user: { in: [] } }),
    'spec.rules[0].matches[0].user.in: Invalid value: 0: spec.rules[0].matches[0].user.in in body should have at least 1 items',
  ),
  bad(
    'a user that is a number',
    matching({ user: { in: [42] } }),
    'spec.rules[0].matches[0].user.in[0]: Invalid value: "integer": spec.rules[0].matches[0].user.in[0] in body must be of type string: "integer"',
  ),
  bad(
    'too many users',
    matching({ user: { in: Array.from({ length: 257 }, (_, i) => `u${i}`) } }),
    'spec.rules[0].matches[0].user.in: Too many: 257: must have at most 256 items',
  ),
  bad(
    'a user twice',
    matching({ user: { in: ['a', 'a'] } }),
    'spec.rules[0].matches[0].user.in[1]: Duplicate value: "a"',
  ),
  bad(
    'a tenant without a list',
    matching({ tenant: {} }),
    'spec.rules[0].matches[0].tenant.in: Required value',
  ),
  bad(
    'a per-user image without {user}',
    perUser({ oci: { image: 'r.io/users:v1' } }),
    'spec.rules[0].perUser.source.oci.image: Invalid value: "string": must contain {user}, for example registry.example/team-a/users/{user}:current',
  ),
  bad(
    'a per-user path with another placeholder',
    perUser({ path: { path: 'users/{user}/{tenant}' } }),
    'spec.rules[0].perUser.source.path.path: Invalid value: "string": must have no other placeholder than {user}, for example team-a/users/{user}',
  ),
  bad(
    'a per-user path that climbs out',
    perUser({ path: { path: '../{user}' } }),
    'spec.rules[0].perUser.source.path.path: Invalid value: "string": must not have ".." segments: write a path below an import root of the runtime',
  ),
  bad(
    'a per-user rule without a base model',
    route({ targets: undefined, perUser: { source: { path: { path: '{user}' } } } }),
    'spec.rules[0].perUser.baseModel: Required value',
  ),
  bad(
    'a header pattern that does not compile',
    header({ type: 'Regex', value: '(' }),
    'spec.rules[0].matches[0].headers[0]: Invalid value: "object": error parsing regexp: missing closing ): `(` evaluating rule: value must be a regular expression in RE2 syntax (no look-around, no back-references)',
  ),
  bad(
    'a kind of a later version',
    manifest('AdapterFleet', {}),
    'no matches for kind "AdapterFleet" in version "adaptlet.io/v1alpha1"',
  ),
  bad(
    'a version that does not exist',
    JSON.stringify({ apiVersion: 'adaptlet.io/v1', kind: 'AdapterRoute', metadata: { name: 'x' }, spec: {} }),
    'no matches for kind "AdapterRoute" in version "adaptlet.io/v1"',
  ),
];
