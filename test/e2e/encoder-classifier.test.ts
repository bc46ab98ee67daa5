import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptlet } from '../support/cli.ts';
import { minilm } from '../support/models.ts';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { folderOfTest } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

const real = minilm();
type Row = { readonly text: string; readonly label: string };

/** Of the process that has the encoder now, as it said when it was ready. */
const encoderPid = (node: TestNode): number =>
  Number(/"enginePid":(\d+)/.exec(node.log.findLast(isEncoderReady) ?? '')?.[1] ?? Number.NaN);
const isEncoderReady = (line: string): boolean =>
  line.includes('"engine":"classifiers"') && line.includes('"enginePid"');

const digestOf = async (folder: string): Promise<string> => (await adaptlet('digest', folder)).stdout.trim();

/** `path`: of what the classifier runs, below an import root. */
const route = (label: string, digest: string, path = 'intent'): string => `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: assistant}
spec:
  model: assistant
  rules:
  - name: known
    matches: [{classifier: {name: intent, labels: ["${label}"]}}]
    targets: [{adapter: upper}]
  - name: everyone
    targets: [{base: true}]
  classifiers:
  - name: intent
    minConfidence: 0.5
    onnx: {source: {path: {path: "${path}"}}, digest: "${digest}"}
`;

describe.skipIf(real === undefined)('a route that runs MiniLM (ADAPTLET_MODELS or ../shared/models)', () => {
  let node: TestNode;
  let rows: readonly Row[];
  let label: string;

  const post = async (prompt: string) => {
    const response = await fetch(`${node.http}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'assistant', prompt, max_tokens: 1, temperature: 0 }),
    });
    await response.text();
    const header = (name: string): string => response.headers.get(`x-adaptlet-${name}`) ?? '';
    return { status: response.status, rule: header('rule'), classified: header('classified') };
  };

  /** Questions that the encoder did not answer in time, as /metrics has it. */
  const late = async (): Promise<number> => {
    const text = await (await fetch(`${node.http}/metrics`)).text();
    expect(text).toMatch(/^adaptlet_classifier_answers_total\{code="OK"\} [1-9]/m);
    expect(text).toContain('adaptlet_classifiers{state="Ready"} 1\n');
    const found = /^adaptlet_classifier_answers_total\{code="DEADLINE_EXCEEDED"\} (\d+)$/m.exec(text);
    return Number(found?.[1] ?? 0);
  };

  /** On a busy machine an answer may take longer than a request waits for it. */
  const answered = (prompt: string) =>
    waitFor('an answer of the encoder', async () => {
      const { status, rule, classified } = await post(prompt);
      return classified.startsWith('intent=;') ? undefined : { status, rule, classified };
    });

  beforeAll(async () => {
    if (real === undefined) return;
    rows = readFileSync(join(real.eval, 'intent.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Row);
    label = rows[0]?.label ?? '';
    const digest = await digestOf(join(real.adapters, 'intent'));
    node = await TestNode.start({
      importRoots: `${tiny.adapters},${real.adapters}`,
      settings: { 'classifier-model': real.modelDir },
    });
    await node.write('route.yaml', yaml.adapter('upper', 'upper') + route(label, digest));
    await waitFor(
      'the encoder and its head',
      async () => (await post(rows[0]?.text ?? '')).rule === 'known',
      120_000,
    );
  }, 150_000);
  afterAll(() => node?.dispose());

  it('gives the held-out texts the rules of their labels', async () => {
    let right = 0;
    const some = rows.slice(0, 100);
    for (const row of some) {
      const { rule, classified } = await answered(row.text);
      expect(classified).toMatch(/^intent=[a-z]+;score=/);
      if (rule === (row.label === label ? 'known' : 'everyone')) right += 1;
    }
    expect(right / some.length).toBeGreaterThan(0.95);
  });

  it('is asked of a text that is longer than it reads, and of none', async () => {
    // More than 64 tokens of the encoder, and no more than the tiny base model takes.
    for (const prompt of ['a '.repeat(100), '\u0000', '😀'.repeat(30)]) {
      const { status, classified } = await answered(prompt);
      expect([status, classified]).toEqual([200, expect.stringMatching(/^intent=[a-z]+;score=/) as string]);
    }
  });

  it('is asked again by an encoder that ended: requests are answered meanwhile', async () => {
    const text = rows[0]?.text ?? '';
    const pid = encoderPid(node);
    process.kill(pid, 'SIGKILL');
    const statuses = new Set<number>();
    for (const end = performance.now() + 60_000; performance.now() < end; ) {
      const { status, rule } = await post(text);
      statuses.add(status);
      if (rule === 'known' && encoderPid(node) !== pid) break;
    }
    expect([...statuses]).toEqual([200]);
    expect(encoderPid(node)).not.toBe(pid);
    expect((await answered(text)).rule).toBe('known');
  });

  it('is uncertain while the encoder hangs: requests are answered', async () => {
    const text = rows[0]?.text ?? '';
    const pid = encoderPid(node);
    process.kill(pid, 'SIGSTOP');
    try {
      const before = await late();
      const answers = await Promise.all(Array.from({ length: 20 }, () => post(text)));
      const uncertain = 'intent=;score=0.000;margin=0.000;uncertain';
      for (const one of answers)
        expect(one).toEqual({ status: 200, rule: 'everyone', classified: uncertain });
      expect((await late()) - before).toBe(20);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    expect((await answered(text)).rule).toBe('known');
  });

  it('explains what the encoder said', async () => {
    const text = rows[0]?.text ?? '';
    const explained = async (): Promise<string> =>
      (await adaptlet('explain', '--admin', node.admin, '-m', 'assistant', text)).stdout;
    const said = await waitFor('an answer of the encoder', async () => {
      const stdout = await explained();
      return stdout.includes('did not answer within') ? undefined : stdout;
    });
    expect(said).toContain('+ rule known: yes, takes the request');
    expect(said).toContain(`classifier intent: ${label} (score `);
  });

  it('is the same without a node: of manifests, with the encoder named', async () => {
    const folder = folderOfTest();
    const [file, cases] = [join(node.manifests, 'route.yaml'), join(folder, 'cases.yaml')];
    const artifact = join(real?.adapters ?? '', 'intent');
    const of = ['-f', file, '--classifier', artifact, '--classifier-model', real?.modelDir ?? ''];
    const intent = join(real?.eval ?? '', 'intent.jsonl');
    const calibrated = await adaptlet('calibrate', 'assistant', intent, ...of, '-o', 'json');
    expect(calibrated).toMatchObject({ code: 0, stderr: '' });
    const { accuracy } = JSON.parse(calibrated.stdout) as { readonly accuracy: number };
    expect(accuracy).toBeGreaterThan(0.9);
    const text = rows[0]?.text ?? '';
    const explained = await adaptlet('explain', ...of, '-m', 'assistant', text);
    expect(explained.stdout).toContain('+ rule known: yes, takes the request');
    const alone = await adaptlet('explain', ...of.slice(0, 4), '-m', 'assistant', text);
    expect(alone.stdout).toContain('? rule known: unknown\n');
    expect(alone.stdout).toMatch(/undecided here: classifier intent: .*--classifier-model/);
    expect(alone.stdout).not.toContain('takes the request');
    const tested = {
      manifests: [file],
      classifiers: [artifact],
      classifierModel: real?.modelDir,
      cases: [
        {
          name: 'known',
          model: 'assistant',
          prompt: text,
          expect: { rule: 'known', labels: { intent: label } },
        },
      ],
    };
    // JSON is YAML.
    await writeFile(cases, JSON.stringify(tested));
    expect(await adaptlet('route', 'test', cases)).toMatchObject({ code: 0, stderr: '' });
    await writeFile(cases, JSON.stringify({ ...tested, classifierModel: undefined }));
    const without = await adaptlet('route', 'test', cases);
    expect(without.code).toBe(1);
    expect(without.stdout).toContain('there is no encoder for classifiers here (--classifier-model)');
  }, 150_000);
});

describe('an encoder that cannot be used', () => {
  const explained = async (node: TestNode): Promise<string> =>
    (await adaptlet('explain', '--admin', node.admin, '-m', 'assistant', 'hello')).stdout;

  const saysWhy = async (settings: Readonly<Record<string, string>>, why: string): Promise<TestNode> => {
    const upper = 'adapters/upper';
    const digest = await digestOf(join(tiny.root, upper));
    const node = await TestNode.start({ settings });
    try {
      await node.write('route.yaml', yaml.adapter('upper', upper) + route('x', digest, upper));
      await waitFor('the reason', async () => (await explained(node)).includes(why), 60_000);
      const { served } = await node.client.ask({ model: 'assistant', prompt: 'moon:' });
      expect(served.rule).toBe('everyone');
    } finally {
      await node.dispose();
    }
    return node;
  };

  it.each([
    ['a folder that is not there', '/nowhere', 'the encoder for classifiers is closed: MODEL_FILE_MISSING'],
    ['a model that generates', tiny.model, 'TASK_UNSUPPORTED'],
  ])('keeps no node from answering, and classifiers say why: %s', async (_, folder, why) => {
    await saysWhy({ 'classifier-model': folder }, why);
  });

  it.skipIf(real === undefined)('is one that takes more memory than it may (needs MiniLM)', async () => {
    const settings = { 'classifier-model': real?.modelDir ?? '', 'classifier-memory': '64Mi' };
    const why = 'the encoder for classifiers is closed: CLASSIFIER_MEMORY: the process of the encoder takes ';
    const { log } = await saysWhy(settings, why);
    expect(log.join('\n')).toMatch(/Set --classifier-memory .* to \d+Mi or more/);
  });
});
