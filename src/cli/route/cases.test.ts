import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { defaultLimits } from '../../artifact/manifest.ts';
import { packFolder } from '../../artifact/pack.ts';
import { classifierFiles } from '../../runtime/classifiers/artifact-file.ts';
import { axisTable } from '../../runtime/classifiers/tables.fixture.ts';
import { explain } from '../../runtime/routing/explain.ts';
import { contextOf, readRequests } from './asked.ts';
import { runTestFile } from './cases.ts';
import { explanationText } from './explain-text.ts';
import { openOffline } from './offline.ts';
import { undecidedBy } from './undecided.ts';

let folder = '';
beforeEach(() => {
  folder = folderOfTest();
});

const ignore = (): void => undefined;
const write = async (name: string, text: string): Promise<string> => {
  const file = join(folder, name);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, text);
  return file;
};

/** The folder of a table, and its digest. */
const artifact = async (): Promise<string> => {
  for (const [name, bytes] of classifierFiles(axisTable(), 'e')) {
    await mkdir(join(folder, 'intent'), { recursive: true });
    await writeFile(join(folder, 'intent', name), bytes);
  }
  await using disk = startDiskThread();
  const { signal } = new AbortController();
  return (await packFolder(join(folder, 'intent'), { disk, limits: defaultLimits, signal })).digest;
};

const route = (more = ''): string => `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: assistant}
spec:
  model: assistant
  rules:
  - name: billing
    matches: [{promptRegex: "(?i)invoice", not: [{tenant: {in: [acme]}}]}]
    targets: [{rollout: billing}]
    fallback: [{base: true}]
  - name: medical
    matches: [{classifier: {name: words, labels: [medical]}}]
    targets: [{adapter: medical-v1}]
${more}  - name: everyone
    targets: [{base: true}]
  classifiers:
  - name: words
    minConfidence: 0.5
    keywords: {labels: [{name: medical, terms: [{text: heart}]}]}
`;
const targets = `---
apiVersion: adaptlet.io/v1alpha1
kind: AdapterRollout
metadata: {name: billing}
spec: {adapter: billing-v1}
---
apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: medical-v1}
spec: {baseModel: tiny, source: {path: {path: m}}}
`;

describe('cases of a route', () => {
  const cases = async (text: string) => {
    await write('routes/a.yaml', route() + targets);
    const file = await write('cases.yaml', `manifests: [routes]\ncases:\n${text}`);
    const results = await runTestFile(file, ignore);
    return results.map(({ name, failures }) => [name, ...failures]);
  };

  it('pass where rule, label and target are as expected', async () => {
    expect(
      await cases(`
- {name: a, model: assistant, prompt: My INVOICE, expect: {rule: billing, target: "rollout:billing"}}
- {name: b, model: assistant, prompt: my heart, expect: {rule: medical, target: "adapter:medical-v1", labels: {words: medical}}}
- {name: c, model: assistant, prompt: hello, expect: {rule: everyone, target: base, labels: {words: ""}}}
- {name: d, model: assistant, prompt: invoice, headers: {x-adaptlet-tenant: acme}, expect: {rule: everyone}}
- {name: e, model: nobody, expect: {target: MODEL_NOT_FOUND}}
`),
    ).toEqual([['a'], ['b'], ['c'], ['d'], ['e']]);
  });

  it('fail with what was found instead', async () => {
    expect(
      await cases(`
- {name: a, model: assistant, prompt: hello, expect: {rule: billing, target: "rollout:billing", labels: {words: medical, other: x}}}
- {name: b, model: nobody, expect: {rule: billing}}
`),
    ).toEqual([
      [
        'a',
        'the rule is everyone, expected billing',
        'the target is base, expected rollout:billing',
        'the label of words is none, expected medical',
        'the label of other is not asked, expected x',
      ],
      ['b', expect.stringContaining('there is no model "nobody"') as string],
    ]);
  });

  it('are refused where the file, or a manifest of it, is not valid', async () => {
    await expect(cases('- {name: a, model: m, expect: {}}')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    await expect(
      cases('- {name: {length: {toString: null}}, model: m, expect: {rule: a}}'),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(cases('- {name: a, model: m, wrong: 1, expect: {rule: a}}')).rejects.toThrow(/wrong/);
    await write('routes/b.yaml', route().replace('minConfidence: 0.5', 'minConfidence: 2'));
    await expect(cases('- {name: a, model: m, expect: {rule: a}}')).rejects.toThrow(/minConfidence/);
  });
});

describe('docs/how-to/route-by-content.md', () => {
  it('has a route and cases that are as it says', async () => {
    const page = await readFile(
      join(import.meta.dirname, '../../../docs/how-to/route-by-content.md'),
      'utf8',
    );
    const blocks = [...page.matchAll(/```yaml\n(.+?)```/gs)].map(([, text = '']) => text);
    const text = (holds: (block: string) => boolean): string =>
      blocks.find(holds) ?? expect.fail('no such block');
    await write(
      'assistant.yaml',
      text((block) => block.startsWith('apiVersion')),
    );
    const cases = text((block) => block.includes('cases:')).replace(/^classifiers:.*$/m, '');
    const results = await runTestFile(await write('cases.yaml', cases), ignore);
    expect(results.map(({ name, failures }) => [name, ...failures])).toEqual([
      ['a German invoice'],
      ['nothing in particular'],
    ]);
  });
});

describe('a classifier of an artifact', () => {
  const withTable = (digest: string): string =>
    route(`  - name: weather
    matches: [{classifier: {name: table, labels: [weather]}}]
    targets: [{base: true}]
`) +
    `  - name: table
    minConfidence: 0.5
    examples:
      source: {path: {path: intent}}
      digest: "${digest}"
      labels: [{name: weather, texts: [rain]}, {name: music, texts: [jazz]}]
`;

  it('is read from a folder with its digest, and is uncertain without one', async () => {
    await write('a.yaml', withTable(await artifact()));
    const of = async (classifiers: string[]) => {
      const manifests = [join(folder, 'a.yaml')];
      await using offline = await openOffline({ manifests, classifiers, namespace: 'default', warn: ignore });
      const context = contextOf({ model: 'assistant', prompt: 'sun' }, 'default');
      const found = explain(offline.table, context, offline.facts, 'r');
      return { ...found, undecided: undecidedBy(found, context).map(({ classifier }) => classifier) };
    };
    expect(await of([join(folder, 'intent')])).toMatchObject({
      rule: 'weather',
      labels: [{ classifier: 'words' }, { classifier: 'table', label: 'weather', doubt: '' }],
      undecided: [],
    });
    const without = await of([]);
    expect(without).toMatchObject({ rule: 'everyone', undecided: ['table'] });
    expect(without.labels[1]?.doubt).toMatch(/^its artifact is not here: ARTIFACT_NOT_FOUND/);
  });
});

describe('an explanation', () => {
  it('says of every rule why, also of those after the one that takes the request, and shows no prompt', async () => {
    await write('a.yaml', route() + targets);
    await using offline = await openOffline({
      manifests: [join(folder, 'a.yaml')],
      classifiers: [],
      namespace: 'default',
      warn: ignore,
    });
    const asked = { model: 'assistant', prompt: 'secret invoice of my heart', user: 'u1' };
    const found = explain(offline.table, contextOf(asked, 'default'), offline.facts, 'r');
    expect(found).toMatchObject({ rule: 'billing', labels: [], kind: 'route', route: 'default/assistant' });
    expect(found.rules.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['billing', 'yes'],
      ['medical', 'yes'],
      ['everyone', 'yes'],
    ]);
    const text = explanationText(found);
    expect(text).toContain('+ rule billing: yes, takes the request');
    expect(text).toContain('+ promptRegex (?i)invoice (has: 26 characters)');
    expect(text).toContain('+ not (tenant in [acme])');
    expect(text).toContain('answers: adapter default/billing-v1@000000000000, stable of rollout billing');
    expect(text).toContain('else: the base model');
    expect(text).not.toContain('secret');
  });
});

describe('requests of a file', () => {
  it('have headers, and bodies as OpenAI has them', async () => {
    const file = await write(
      'requests.jsonl',
      [
        { headers: { a: 'b' }, body: { model: 'm', prompt: 'one', user: 'u1', max_tokens: 3 } },
        {
          body: {
            messages: [{ role: 'user', content: [{ type: 'text', text: 'two' }] }, { role: 'assistant' }],
          },
        },
        { body: { model: 'm', prompt: [1, 2] } },
      ]
        .map((one) => JSON.stringify(one))
        .join('\n'),
    );
    expect(await readRequests(file, 'n')).toEqual([
      { headers: { a: 'b' }, model: 'm', user: 'u1', prompt: 'one' },
      { model: 'n', prompt: 'two' },
      { model: 'm' },
    ]);
    await expect(readRequests(file, undefined)).rejects.toThrow(/:2: body.model is missing/);
    await write('requests.jsonl', '{');
    await expect(readRequests(file, 'n')).rejects.toThrow(/:1: is not JSON/);
  });
});
