import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { folderOfTests } from '../../../test/support/temporary-folder.ts';
import { aSidecar } from './sidecar.fixture.ts';
import { readSidecar } from './template.ts';

const folder = folderOfTests();
let file: string;
beforeAll(() => {
  file = join(folder, 'sidecar.yaml');
});

const { container, volumes } = aSidecar;

describe('the file of a sidecar', () => {
  it('is read anew each time, with everything in it', async () => {
    await writeFile(file, stringify(aSidecar));
    expect(await readSidecar(file)).toEqual(aSidecar);
    await writeFile(file, stringify({ container: { ...container, image: 'next' }, volumes }));
    expect(await readSidecar(file)).toEqual({
      container: { ...container, image: 'next' },
      volumes,
      imagePullSecrets: [],
    });
  });

  it.each<[string, unknown, string]>([
    ['no YAML', '{', 'sidecar.yaml cannot be used'],
    ['another name', { ...aSidecar, container: { ...container, name: 'x' } }, 'container.name'],
    [
      'a container that ends',
      { ...aSidecar, container: { ...container, restartPolicy: 'Never' } },
      'restartPolicy',
    ],
    ['no budget', { ...aSidecar, container: { ...container, env: [] } }, 'ADAPTLET_ADAPTER_MEMORY'],
    [
      'an amount that is none',
      { ...aSidecar, container: { ...container, resources: { limits: { memory: 'much' } } } },
      'must be a quantity',
    ],
    ['what nobody knows', { ...aSidecar, more: 1 }, 'more'],
  ])('is refused with %s', async (_, content, words) => {
    await writeFile(file, typeof content === 'string' ? content : stringify(content));
    await expect(readSidecar(file)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(words),
    });
  });

  it('has to be there', async () => {
    await expect(readSidecar(join(folder, 'none'))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('ENOENT'),
    });
  });
});
