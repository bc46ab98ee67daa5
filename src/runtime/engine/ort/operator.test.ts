import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { ort } from './library.ts';
import { findOperator } from './operator.ts';

const found = (wish: string) => {
  const warnings: string[] = [];
  return { operator: findOperator(wish, (message) => warnings.push(message)), warnings };
};

describe('the native operator', () => {
  it('is not looked for when it is off', () => {
    expect(found('off')).toEqual({ operator: undefined, warnings: [] });
  });

  it('is told and left out where it is not there, is no library, or is another one', () => {
    const text = join(folderOfTest(), 'lib.so');
    writeFileSync(text, 'no library');
    for (const path of ['/nowhere/lib.so', text, ort.path]) {
      const { operator, warnings } = found(path);
      expect(operator).toBeUndefined();
      expect(warnings).toEqual([
        expect.stringContaining(
          `the native operator ${path} cannot be used, adapters take the portable way: `,
        ),
      ]);
    }
  });
});
