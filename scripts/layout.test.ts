import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { catalogue } from '../src/errors/catalogue.ts';

const root = join(import.meta.dirname, '..');
/** Tracked files and new ones, without those that are deleted. */
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const linesOf = (file: string): number => read(file).split('\n').length - 1;

const isGenerated = (file: string): boolean => /^(?:src|test\/device-plugin)\/gen\//.test(file);
const isTest = (file: string): boolean => file.startsWith('test/') || file.endsWith('.test.ts');
const onlyForTests = /\.fixture\.ts$|^fake-|\/testing\//;
const code = files.filter((file) => file.endsWith('.ts') && !isGenerated(file));

describe('the repository', () => {
  it('has files of one idea, at most 400 lines', () => {
    expect(code.filter((file) => linesOf(file) > 400)).toEqual([]);
  });

  it('explains every folder of src in at most 30 lines', () => {
    const pages = files.filter((file) => /^src\/.+\/README\.md$/.test(file));
    expect(pages.filter((page) => linesOf(page) > 30)).toEqual([]);
    const folders = new Set(code.filter((f) => f.startsWith('src/')).map((f) => dirname(f)));
    // A folder within a part may be explained by the page of the part.
    const unexplained = [...folders].filter((folder) => {
      const parts = folder.split('/');
      const pagesAbove = parts.map((_, i) => `${parts.slice(0, i + 1).join('/')}/README.md`).slice(1);
      return !pagesAbove.some((page) => pages.includes(page));
    });
    expect(unexplained).toEqual([]);
  });

  it('keeps what is made for tests out of what runs', () => {
    const imports = code
      .filter((file) => file.startsWith('src/') && !isTest(file) && !onlyForTests.test(`/${file}`))
      .filter((file) => !onlyForTests.test(basename(file)))
      .flatMap((file) =>
        [...read(file).matchAll(/from '(\.[^']+)'/g)].map(([, target = '']) => [file, target] as const),
      );
    const wrong = imports.filter(
      ([, target]) => onlyForTests.test(target) || onlyForTests.test(basename(target)),
    );
    expect(wrong).toEqual([]);
  });

  it('uses every code of the error catalogue', () => {
    const source = code
      .filter((file) => file.startsWith('src/') && !file.startsWith('src/errors/') && !isTest(file))
      .map(read)
      .join('\n');
    expect(Object.keys(catalogue).filter((name) => !source.includes(`'${name}'`))).toEqual([]);
  });

  it('has no link in its pages that leads nowhere', () => {
    const dead = files
      .filter((file) => file.endsWith('.md') && !file.includes('/fixtures/'))
      .flatMap((page) =>
        [...read(page).matchAll(/\]\(([^)#:]+)\)/g)]
          .map(([, target = '']) => ({ page, target }))
          .filter(({ target }) => !existsSync(join(root, dirname(page), target))),
      );
    expect(dead).toEqual([]);
  });

  it('explains by tests and folders that there are', () => {
    const pages = files.filter((file) => file.startsWith('docs/explanation/') && file.endsWith('.md'));
    const named = pages.flatMap((page) =>
      [...read(page).matchAll(/(?<![\w./-])(?:src|test)\/[\w./-]*\w/g)].map(([path]) => ({ page, path })),
    );
    expect(named.length).toBeGreaterThan(100);
    expect(named.filter(({ path }) => !existsSync(join(root, path)))).toEqual([]);
  });
});
