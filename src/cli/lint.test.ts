import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { type LintOptions, lintCommand, lintFiles } from './lint.ts';

const head = 'apiVersion: adaptlet.io/v1alpha1';
const digest = `sha256:${'0'.repeat(64)}`;
const adapter = (name: string, source: string, more = '') =>
  `${head}\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: ${source}\n${more}`;
const path = '{path: {path: a}}';
const pinned = `  digest: "${digest}"\n`;

describe('lintFiles', () => {
  let folder = '';
  beforeEach(() => {
    folder = folderOfTest();
  });

  const write = async (files: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(folder, name, '..'), { recursive: true });
      await writeFile(join(folder, name), text);
    }
  };
  const lint = async (paths: readonly string[], options: LintOptions = {}) => {
    let out = '';
    let err = '';
    const io = { out: (text: string) => void (out += text), err: (text: string) => void (err += text) };
    const code = await lintFiles(
      paths.map((name) => join(folder, name)),
      io,
      options,
    );
    return { code, out: out.replaceAll(`${folder}/`, ''), err };
  };

  it('says nothing but the counts about good files, and exits with 0', async () => {
    await write({ 'a.yaml': adapter('a', path, pinned) });
    expect(await lint(['a.yaml'])).toEqual({
      code: 0,
      out: '',
      err: '1 file, 1 object, 0 problems, 0 warnings\n',
    });
  });

  it('prints problems and warnings in the order of files and lines, and exits with 1', async () => {
    await write({
      'b.yaml': adapter('b', '{oci: {image: "r.io/b:v1"}}'),
      'a.yaml': `${adapter('a', path, '  piority: 3\n')}---\n${head}\nkind: AdapterRollout\nmetadata: {name: sql}\nspec: {adapter: c}\n`,
    });
    expect(await lint(['.'])).toEqual({
      code: 1,
      out: [
        'a.yaml:7: unknown field spec.piority, did you mean priority',
        'a.yaml:12: warning: spec.adapter: there is no Adapter c in namespace default, did you mean b',
        'b.yaml:6: warning: spec.source.oci.image: the tag v1 can move, and nodes that fetch later may get something else: add @sha256:… or spec.digest',
        '',
      ].join('\n'),
      err: '2 files, 2 objects, 1 problem, 2 warnings\n',
    });
  });

  it('checks analyses: metrics of a rollout, AdapterAnalyses, and references from one to the other', async () => {
    const rollout = (analysis: string) =>
      `---\n${head}\nkind: AdapterRollout\nmetadata: {name: sql}\nspec:\n  adapter: a\n  strategy:\n    canary:\n      steps: []\n      analysis: ${analysis}\n`;
    const analysis = `---\n${head}\nkind: AdapterAnalysis\nmetadata: {name: quality}\nspec:\n  metrics: [{name: m, source: {builtin: ErrorRatoi}}]\n`;
    await write({
      'a.yaml': adapter('a', path, pinned) + rollout('{metrics: [{name: m, source: {}}]}'),
      'b.yaml': `${adapter('b', path, pinned)}${rollout('{ref: qality}').replace('name: sql', 'name: chat')}`,
      'c.yaml': analysis,
      'd.yaml': analysis.replace('ErrorRatoi', 'ErrorRatio').replace('quality', 'quality2'),
    });
    const { code, out } = await lint(['.']);
    expect(code).toBe(1);
    expect(out).toMatch(
      /a\.yaml:\d+: spec\.strategy\.canary\.analysis\.metrics\[0\]\.source: must have exactly one of/,
    );
    expect(out).toMatch(
      /b\.yaml:\d+: warning: spec\.strategy\.canary\.analysis\.ref: there is no AdapterAnalysis qality/,
    );
    expect(out).toMatch(
      /c\.yaml:\d+: spec\.metrics\[0\]\.source\.builtin: must be one of .* did you mean ErrorRatio/,
    );
  });

  it('exits with 0 when there are only warnings', async () => {
    await write({ 'a.yaml': adapter('a', path) });
    const { code, out } = await lint(['a.yaml']);
    expect(code).toBe(0);
    expect(out).toBe(
      'a.yaml:6: warning: spec.source.path: in a cluster a path needs spec.digest, so that every node has the same files\n',
    );
  });

  it('finds an object that is defined in two files', async () => {
    await write({ 'a.yaml': adapter('a', path, pinned), 'b.yaml': `# again\n${adapter('a', path, pinned)}` });
    expect((await lint(['a.yaml', 'b.yaml'])).out).toBe(
      'b.yaml:2: Adapter default/a is defined in a.yaml:1 already: remove one of the two\n',
    );
  });

  it('looks into a folder as a runtime does: not below it, not at hidden files, unless asked to', async () => {
    await write({ 'a.yaml': adapter('a', path, pinned), 'sub/b.yml': 'x', '.c.yaml': 'x', 'notes.txt': 'x' });
    expect((await lint(['.'])).err).toBe('1 file, 1 object, 0 problems, 0 warnings\n');
    expect((await lint(['.'], { recursive: true })).err).toBe('2 files, 1 object, 1 problem, 0 warnings\n');
  });

  it('does not pass over a folder without manifests, nor a file that is not there', async () => {
    await write({ 'empty/readme.txt': '' });
    const { code, out } = await lint(['empty', 'gone.yaml']);
    expect(code).toBe(1);
    expect(out).toMatch(/^empty: the folder has no .yaml or .yml file\ngone.yaml: cannot be read: ENOENT/);
  });

  it('does not read a file that is too large', async () => {
    await write({ 'a.yaml': '#'.repeat(1024 * 1024 + 1) });
    expect((await lint(['a.yaml'])).out).toBe('a.yaml:1: the file is larger than 1 MiB: split it\n');
  });

  it('checks objects that name no namespace in the one that is given', async () => {
    await write({ 'a.yaml': `${head}\nkind: AdapterRollout\nmetadata: {name: sql}\nspec: {adapter: c}\n` });
    expect((await lint(['a.yaml'], { namespace: 'team-a' })).out).toContain(
      'no Adapter c in namespace team-a',
    );
  });

  it('prints one JSON document with -o json', async () => {
    await write({ 'a.yaml': 'x' });
    const { code, out, err } = await lint(['a.yaml'], { output: 'json' });
    expect([code, err]).toEqual([1, '']);
    expect(JSON.parse(out)).toEqual({
      files: 1,
      adapters: 0,
      objects: 0,
      problems: [
        { file: 'a.yaml', line: 1, reason: 'must be an object with apiVersion, kind, metadata and spec' },
      ],
      warnings: [],
    });
  });
});

describe('lintCommand', () => {
  it('says in its help what it prints and when it fails', () => {
    let help = '';
    lintCommand()
      .configureOutput({ writeOut: (text) => void (help += text) })
      .outputHelp();
    expect(help).toContain('FILE:LINE: REASON');
    expect(help).toContain('--output <form>');
  });
});
