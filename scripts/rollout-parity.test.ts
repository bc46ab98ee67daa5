import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const page = readFileSync(join(root, 'docs/reference/rollout-parity.md'), 'utf8');
const rows = [...page.matchAll(/^\| (?!their test)([^|-][^|]*) \| ([^|]+) \|$/gm)].map(
  ([, theirs = '', here = '']) => ({ theirs, here }),
);

it('docs/reference/rollout-parity.md names tests that are there, or says why there is none', () => {
  expect(rows.length).toBeGreaterThan(40);
  const wrong = rows.flatMap(({ theirs, here }) => {
    if (/^not (yet|here)[:,]/.test(here)) return [];
    return here.split('<br/>').flatMap((named) => {
      const [, path = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(named) ?? [];
      const file = join(root, path);
      const isThere = title !== '' && existsSync(file) && readFileSync(file, 'utf8').includes(`'${title}'`);
      return isThere ? [] : [`${theirs}: ${named}`];
    });
  });
  expect(wrong).toEqual([]);
});
