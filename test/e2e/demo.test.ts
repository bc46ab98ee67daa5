import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify, stripVTControlCharacters } from 'node:util';
import { beforeAll, expect, it } from 'vitest';
import { repositoryRoot } from '../support/process.ts';

let printed: string;
beforeAll(async () => {
  const main = join(repositoryRoot, 'test/demo/main.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [main]);
  printed = stripVTControlCharacters(stdout);
});

it('the demo shows everything that it promises', () => {
  const [, good, all] = /(\d+) of (\d+) as promised/.exec(printed) ?? [];
  expect(Number(all)).toBeGreaterThanOrEqual(13);
  expect(good).toBe(all);
});

it('the README shows lines that the demo prints, in their order, with other measured numbers', async () => {
  const readme = await readFile(join(repositoryRoot, 'README.md'), 'utf8');
  const [, shown = ''] = /^```text\n(1\. .*?)^```$/ms.exec(readme) ?? [];
  const withoutNumbers = (text: string): string =>
    text.replaceAll(/\d+(\.\d+)?( ms| %| requests)/g, 'N$2').trim();
  const lines = shown.trim().split('\n').map(withoutNumbers);
  const those = new Set(lines);
  const [beforeSummary = ''] = printed.split('\nSummary\n');
  const found = beforeSummary
    .split('\n')
    .map(withoutNumbers)
    .filter((line) => those.has(line));
  expect(lines.length).toBeGreaterThanOrEqual(12);
  expect(found).toEqual(lines);
});
