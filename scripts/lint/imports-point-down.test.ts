import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { wrongImport } from './imports-point-down.ts';
import { layers } from './layers.ts';

describe('imports point down', () => {
  it.each([
    ['a higher layer imports a lower one', 'src/cli/main.ts', 'src/api/names.ts', undefined],
    [
      'a lower layer imports no higher one',
      'src/api/names.ts',
      'src/cli/main.ts',
      'src/api does not import src/cli',
    ],
    ['neighbours import nothing of each other', 'src/operator/a.ts', 'src/runtime/b.ts', 'does not import'],
    ['a folder imports its own files', 'src/api/a.ts', 'src/api/b.ts', undefined],
    ['inner layers count as well', 'src/runtime/routing/a.ts', 'src/runtime/serving/b.ts', 'does not import'],
    ['what lies above all layers imports them', 'src/runtime/runtime.ts', 'src/runtime/sync/a.ts', undefined],
    [
      'no layer imports what lies above all',
      'src/runtime/sync/a.ts',
      'src/runtime/runtime.ts',
      'does not import',
    ],
    ['a node lives without a cluster', 'src/runtime/sync/a.ts', 'src/kube/client/api.ts', 'never imports'],
    ['a new folder needs a place', 'src/api/a.ts', 'src/misc/b.ts', 'src/misc is in no layer'],
    ['tests look at everything', 'src/api/a.test.ts', 'src/cli/main.ts', undefined],
  ])('%s', (_, from, to, wrong) => {
    const found = wrongImport(from, to);
    if (wrong === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(wrong);
  });

  it('knows every folder of those that have layers, and no other', () => {
    for (const [parent, ordered] of Object.entries(layers)) {
      const folders = readdirSync(join(import.meta.dirname, '../..', parent), { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && entry.name !== 'testing')
        .map((entry) => entry.name);
      const known = ordered.flatMap((layer) => Object.keys(layer)).filter((name) => !name.endsWith('.ts'));
      expect(known.toSorted(), parent).toEqual(folders.toSorted());
    }
  });
});
