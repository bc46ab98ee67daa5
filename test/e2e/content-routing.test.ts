import { readFileSync } from 'node:fs';
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startDiskThread } from '../../src/artifact/disk-thread.ts';
import { defaultLimits } from '../../src/artifact/manifest.ts';
import { packFolder } from '../../src/artifact/pack.ts';
import { classifierFiles } from '../../src/runtime/classifiers/artifact-file.ts';
import { axisTable } from '../../src/runtime/classifiers/tables.fixture.ts';
import { adaptlet } from '../support/cli.ts';
import { codeBlocks } from '../support/code-blocks.ts';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { programFolder, repositoryRoot } from '../support/process.ts';
import { runProgram } from '../support/program.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
const root = folderOfTests();
let digest: string;

const route = (): string => `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: assistant}
spec:
  model: assistant
  rules:
  - name: loud
    matches: [{promptRegex: "(?i)^shout"}]
    targets: [{adapter: upper}]
  - name: weather
    matches: [{classifier: {name: table, labels: [weather]}}]
    targets: [{adapter: reverse}]
  - name: strict
    matches: [{headers: [{name: x-strict, value: "yes"}], classifier: {name: words, labels: [law]}}]
    targets: [{adapter: upper}]
  - name: hinted
    matches: [{adapterHint: {in: [reverse]}}]
    targets: [{adapter: reverse}]
  - name: everyone
    targets: [{base: true}]
  classifiers:
  - name: table
    minConfidence: 0.6
    examples:
      source: {path: {path: intent}}
      digest: "${digest}"
      labels: [{name: weather, texts: [rain, sun]}, {name: music, texts: [jazz]}]
  - name: words
    minConfidence: 0.5
    onUncertain: Refuse
    keywords: {labels: [{name: law, terms: [{text: court}]}]}
`;

const rows: readonly (readonly [
  what: string,
  prompt: string | readonly number[],
  headers: Readonly<Record<string, string>>,
  expected: Readonly<Record<string, string | null>>,
])[] = [
  ['a pattern', 'SHOUT rain', {}, { rule: 'loud', adapter: 'upper', classified: null }],
  [
    'what is like the examples of a label',
    'some rain',
    {},
    {
      rule: 'weather',
      adapter: 'reverse',
      classified: expect.stringMatching(/^table=weather;score=0\.\d{3};margin=0\.\d{3}$/) as string,
    },
  ],
  [
    'what is like those of another label',
    'jazz',
    {},
    { rule: 'everyone', adapter: null, classified: expect.stringMatching(/^table=music;/) as string },
  ],
  [
    'nothing that is known',
    'xyz',
    {},
    { rule: 'everyone', adapter: null, classified: 'table=;score=0.000;margin=0.000;uncertain' },
  ],
  [
    'token ids, which have no text',
    [60, 61],
    {},
    { rule: 'everyone', adapter: null, classified: 'table=;score=0.000;margin=0.000;uncertain' },
  ],
  ['a hint', 'jazz', { 'x-adaptlet-adapter-hint': 'reverse' }, { rule: 'hinted', adapter: 'reverse' }],
];

beforeAll(async () => {
  for (const name of ['upper', 'reverse'])
    await cp(join(tiny.adapters, name), join(root, name), { recursive: true });
  await mkdir(join(root, 'intent'));
  for (const [name, bytes] of classifierFiles(axisTable(), 'made by hand'))
    await writeFile(join(root, 'intent', name), bytes);
  await using disk = startDiskThread();
  const { signal } = new AbortController();
  digest = (await packFolder(join(root, 'intent'), { disk, limits: defaultLimits, signal })).digest;
  node = await TestNode.start({ importRoots: root });
  await node.write('adapters.yaml', yaml.adapter('upper', 'upper') + yaml.adapter('reverse', 'reverse'));
  await node.write('route.yaml', route());
  await waitFor(
    'the table',
    async () => (await post('some rain')).headers.get('x-adaptlet-rule') === 'weather',
  );
});
afterAll(async () => {
  await node.dispose();
});

const post = (prompt: string | readonly number[], headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${node.http}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'assistant', prompt, max_tokens: 2, temperature: 0 }),
  });

describe('a route by content, on a node', () => {
  it.each(rows)('takes %s', async (_, prompt, headers, expected) => {
    const response = await post(prompt, headers);
    await response.text();
    expect(response.status).toBe(200);
    const found = Object.keys(expected).map((name) => [name, response.headers.get(`x-adaptlet-${name}`)]);
    expect(Object.fromEntries(found)).toEqual(expected);
  });

  it('refuses what a classifier is uncertain of, where it is to, and names rule, label and score', async () => {
    const strict = { 'x-strict': 'yes' };
    const response = await post('hello', strict);
    expect(response.headers.get('x-adaptlet-error')).toBe('ROUTE_UNCERTAIN');
    expect(await response.text()).toContain(
      'rule strict of route default/assistant: classifier words: no label, uncertain: nothing in the prompt speaks for a label',
    );
    const certain = await post('the court', strict);
    expect([certain.status, certain.headers.get('x-adaptlet-rule')]).toEqual([200, 'strict']);
    await certain.text();
  });

  it('is explained as it is taken', async () => {
    const { stdout } = await adaptlet('explain', '--admin', node.admin, '-m', 'assistant', 'some rain');
    expect(stdout).toContain('- rule loud: no');
    expect(stdout).toContain('+ rule weather: yes, takes the request');
    expect(stdout).toContain('? rule strict: no'.replace('? ', '- '));
    expect(stdout).toMatch(
      /classifier table: weather \(score 0\.\d{3}, margin 0\.\d{3}\); scores: weather 0/,
    );
    expect(stdout).toMatch(/answers: adapter default\/reverse, (Resident|Stored|Compiled|Remote)/);
    const { stdout: json } = await adaptlet(
      'explain',
      '--admin',
      node.admin,
      '-m',
      'assistant',
      '-o',
      'json',
      'jazz',
    );
    expect(JSON.parse(json)).toMatchObject({ rule: 'everyone', candidates: [{ kind: 'base' }] });
  });
});

describe('docs/how-to/route-by-content.md', () => {
  const page = readFileSync(join(repositoryRoot, 'docs/how-to/route-by-content.md'), 'utf8');

  it('has commands that find its route, in the namespace of that', async () => {
    const [manifest = ''] = codeBlocks(page, 'yaml');
    const cases = codeBlocks(page, 'yaml').find((block) => block.includes('cases:')) ?? '';
    await mkdir(join(root, 'routes'));
    await writeFile(join(root, 'routes/assistant.yaml'), manifest);
    await writeFile(join(root, 'routes/cases.yaml'), cases);
    await writeFile(join(root, 'prompts.jsonl'), '{"text": "what is my heart rate", "label": "medical"}\n');
    await symlink(node.data, join(root, 'data'));
    await node.write('page.yaml', manifest);
    const commands = (codeBlocks(page, 'sh').at(-1) ?? '').trim().split('\n');
    const [explain = '', inCluster = '', calibrate = '', test = '', ...rest] = commands;
    expect(rest).toEqual([]);
    // It is a command of another program, with the same flags for the name.
    expect(
      inCluster
        .replace(/^kubectl /, '')
        .split(' ')
        .slice(0, 6),
    ).toEqual(explain.replace(' --data-dir data', '').split(' ').slice(0, 6));
    const run = (command: string) =>
      runProgram('bash', ['-ec', command], {
        cwd: root,
        env: { PATH: [programFolder(), process.env['PATH']].join(':') },
      });
    const explained = await waitFor('the route of the page', async () => {
      const result = await run(explain);
      return result.code === 0 && result.stdout.includes('team-a/assistant') && result;
    });
    expect(explained.stdout).toContain('+ rule everyone: yes, every request matches, takes the request');
    expect(await run(calibrate)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('intent') as string,
    });
    expect(await run(test)).toMatchObject({ code: 0 });
  });
});

describe('docs/how-to/keep-a-session.md', () => {
  const page = readFileSync(join(repositoryRoot, 'docs/how-to/keep-a-session.md'), 'utf8');

  it('has a request that its route answers, by what was asked before in the session', async () => {
    const [manifest = ''] = codeBlocks(page, 'yaml');
    const [ask = '', ...rest] = codeBlocks(page, 'sh');
    expect(rest).toEqual([]);
    const inTeam = (text: string): string =>
      text.replaceAll('metadata: {name:', 'metadata: {namespace: team-a, name:');
    await node.write(
      'team-a.yaml',
      inTeam(yaml.adapter('general-v1', 'upper') + yaml.rollout('general', 'general-v1', '')),
    );
    await node.write('page.yaml', manifest);
    const answerTo = async (command: string): Promise<string> =>
      await waitFor('an answer', async () => {
        const { stdout } = await runProgram('bash', ['-ec', command.replace('localhost:8080', node.http)]);
        return stdout.startsWith('HTTP/1.1 200') && stdout;
      });
    // By itself it could be about anything: nothing is kept of it.
    const alone = await answerTo(ask);
    expect(alone).toMatch(/^x-adaptlet-rule: everyone\r?$/m);
    expect(alone).not.toContain('x-adaptlet-session-token');
    const first = await answerTo(ask.replace('And at night?', 'Is my heart rate too high?'));
    expect(first).toMatch(/^x-adaptlet-rule: medical\r?$/m);
    expect(first).toMatch(/^x-adaptlet-session-token: \S+/m);
    const next = await answerTo(ask);
    expect(next).toMatch(/^x-adaptlet-rule: medical\r?$/m);
  });
});
