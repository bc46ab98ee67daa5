import { describe, expect, it } from 'vitest';
import { folder, link, text, tree } from './entry.ts';

describe('a tree of files', () => {
  it('is sorted, with the folders of each file before it', () => {
    const entries = tree([text('usr/lib/a', ''), link('bin', 'usr/bin'), text('etc/passwd', '')]);
    expect(entries.map(({ path }) => path)).toEqual([
      'bin',
      'etc',
      'etc/passwd',
      'usr',
      'usr/lib',
      'usr/lib/a',
    ]);
  });

  it('keeps a folder as it was given', () => {
    const entries = tree([text('tmp/file', ''), folder('tmp', 0o1777)]);
    expect(entries[0]).toEqual(folder('tmp', 0o1777));
  });
});
