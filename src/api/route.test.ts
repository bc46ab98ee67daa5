import { describe, expect, it } from 'vitest';
import { document, expectMessages, type Fields, type Row } from './manifests.fixture.ts';

const route = (...rules: Fields[]) =>
  document('AdapterRoute', {
    model: 'm',
    rules: rules.map((rule) => ({ name: 'r', targets: [{ rollout: 'sql' }], ...rule })),
  });

const matching = (match: unknown) => route({ matches: [match] });

const classifying = (classifier: Fields, match: Fields = { name: 'intent', labels: ['a'] }) =>
  document('AdapterRoute', {
    model: 'm',
    rules: [{ name: 'r', matches: [{ classifier: match }], targets: [{ rollout: 'sql' }] }],
    classifiers: [
      {
        name: 'intent',
        minConfidence: 0.5,
        keywords: { labels: [{ name: 'a', terms: [{ text: 'x' }] }] },
        ...classifier,
      },
    ],
  });
const examples = (fields: Fields) =>
  classifying({
    keywords: undefined,
    examples: { source: { path: { path: 'team-a/intent' } }, digest: `sha256:${'0'.repeat(64)}`, ...fields },
  });

const perUser = (source: unknown) => route({ targets: undefined, perUser: { baseModel: 'tiny', source } });

const rows: readonly Row[] = [
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
    'a session that is kept for too long',
    route({ stickyDecision: { idleTimeout: '25h' } }),
    'spec.rules[0].stickyDecision.idleTimeout: must be from 1s to 24h',
  ],
  [
    'a session that keeps something else',
    route({ stickyDecision: { keeps: 'version' } }),
    'spec.rules[0].stickyDecision.keeps: must be one of Version, Target, Nothing; did you mean Version',
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
    `spec.rules[0].matches[0]: must have at least one of headers, user, tenant, promptRegex, locale, deviceType, location, task, adapterHint, classifier, not; a rule without matches takes every request`,
  ],
  [
    'a header in capitals',
    matching({ headers: [{ name: 'X-Team', value: 'a' }] }),
    `spec.rules[0].matches[0].headers[0].name: must be a header name in lower case, as HTTP/2 and gRPC send it, for example x-department`,
  ],
  [
    'a header with a line break',
    matching({ headers: [{ name: 'a', value: 'a\nb' }] }),
    `spec.rules[0].matches[0].headers[0].value: must not have control characters or line breaks`,
  ],
  [
    'a header pattern that does not compile',
    matching({ headers: [{ name: 'a', type: 'Regex', value: '(' }] }),
    `spec.rules[0].matches[0].headers[0].value: must be a regular expression in RE2 syntax (no look-around, no back-references): missing closing ): \`(\``,
  ],
  ['the same text as an exact value', matching({ headers: [{ name: 'a', value: '(' }] })],
  [
    'a user by list and by prefix',
    matching({ user: { in: ['a'], prefix: 'b' } }),
    `spec.rules[0].matches[0].user: must have exactly one of in, prefix, for example in: [u42]; it has in, prefix: remove all but one`,
  ],
  [
    'an empty list of users',
    matching({ user: { in: [] } }),
    `spec.rules[0].matches[0].user.in: must have at least 1 item`,
  ],
  [
    'a user that is a number',
    matching({ user: { in: [42] } }),
    `spec.rules[0].matches[0].user.in[0]: must be a text: put it in quotes, "42"`,
  ],
  [
    'too many users',
    matching({ user: { in: Array.from({ length: 257 }, (_, i) => `u${i}`) } }),
    `spec.rules[0].matches[0].user.in: must have at most 256 items`,
  ],
  [
    'a user twice',
    matching({ user: { in: ['a', 'a'] } }),
    `spec.rules[0].matches[0].user.in[1]: must be unique in the list, item 0 is a already`,
  ],
  [
    'every match of its own name',
    matching({
      promptRegex: 'invoice',
      locale: { in: ['de'] },
      deviceType: { in: ['phone'] },
      location: { in: ['DE-BY'] },
      task: { in: ['summarize'] },
      adapterHint: { in: ['medical-v2'] },
      not: [{ user: { in: ['u1'] } }],
    }),
  ],
  [
    'a negation of nothing',
    matching({ not: [{}] }),
    'spec.rules[0].matches[0].not[0]: must have at least one of headers, user, tenant, promptRegex, locale, deviceType, location, task, adapterHint, classifier',
  ],
  [
    'a negation in a negation',
    matching({ not: [{ user: { in: ['a'] }, not: [] }] }),
    'unknown field spec.rules[0].matches[0].not[0].not',
  ],
  [
    'a pattern for prompts that does not compile',
    matching({ promptRegex: '(?=a)' }),
    'spec.rules[0].matches[0].promptRegex: must be a regular expression in RE2 syntax (no look-around, no back-references): invalid or unsupported Perl syntax: `(?=`',
  ],
  [
    'patterns for prompts that cost too much together',
    route(
      ...Array.from({ length: 3 }, (_, i) => ({ name: `r${i}`, matches: [{ promptRegex: 'a{1,999}' }] })),
    ),
    expect.stringMatching(
      /^spec\.rules: the patterns of promptRegex compile to \d+ instructions together, at most 1000 are allowed: make repetitions such as \{1,1000\} shorter$/,
    ) as string,
  ],
  [
    'patterns for headers that cost too much together',
    matching({
      headers: [{ name: 'x-a', type: 'Regex', value: 'a{1,999}' }],
      not: [{ headers: [{ name: 'x-b', type: 'Regex', value: 'b{1,999}' }] }],
    }),
    expect.stringMatching(
      /^spec\.rules: the patterns of headers compile to \d+ instructions together, at most 1000 are allowed: make repetitions such as \{1,1000\} shorter$/,
    ) as string,
  ],
  [
    'values of headers that are no patterns',
    matching({ headers: [{ name: 'x-a', type: 'Exact', value: '(a{1,999}){1,999}' }] }),
  ],
  ['a classifier by keywords', classifying({})],
  ['a classifier by examples', examples({ labels: [{ name: 'a', texts: ['x'] }] })],
  ['a classifier by the head of its artifact', examples({})],
  [
    'a classifier that is two things',
    classifying({ examples: { source: { path: { path: 'a' } }, digest: `sha256:${'0'.repeat(64)}` } }),
    'spec.classifiers[0]: must have exactly one of keywords, examples, onnx, for example keywords: {labels: [{name: medical, terms: [{text: heart}]}]}; it has keywords, examples: remove all but one',
  ],
  [
    'a classifier that is not there',
    classifying({}, { name: 'intend', labels: ['a'] }),
    'spec.rules[0].matches[0].classifier.name: must be a classifier of the route, did you mean intent',
  ],
  [
    'a label that is not there',
    classifying({}, { name: 'intent', labels: ['a', 'b'] }),
    'spec.rules[0].matches[0].classifier.labels[1]: must be a label of the classifier intent: a',
  ],
  [
    'an artifact without a digest',
    examples({ digest: undefined }),
    'spec.classifiers[0].examples.digest is required',
  ],
  [
    'a confidence above 1',
    classifying({ minConfidence: 70 }),
    'spec.classifiers[0].minConfidence: must be at most 1',
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

describe('an AdapterRoute, good or bad', () => {
  it.each(rows)('%s', (_, text, ...messages) => {
    expectMessages(text, messages);
  });
});
