import { lstat, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { DockerfileParser } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { beforeAll, describe, expect, it } from 'vitest';
import { root } from '../../../image/source.ts';
import { runProgram } from '../../support/program.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { type UnpackedImage, unpackedImage } from '../../support/unpacked-image.ts';

describe('the Containerfile', () => {
  const folder = folderOfTests();
  let text: string;
  let image: UnpackedImage;
  /** Instructions of its last stage, as keyword and arguments. */
  const last = (): ReadonlyMap<string, string> => {
    const all = DockerfileParser.parse(text).getInstructions();
    const from = all.findLastIndex((one) => one.getKeyword() === 'FROM');
    return new Map(all.slice(from).map((one) => [one.getKeyword(), one.getArgumentsContent() ?? '']));
  };
  beforeAll(async () => {
    text = await readFile(join(root, 'Containerfile'), 'utf8');
    image = await unpackedImage('amd64', folder);
  });

  it('has nothing that a validator complains about', () => {
    expect(validate(text)).toEqual([]);
  });

  it('starts what `make image` starts, as the same user', () => {
    const { config } = image;
    const stage = last();
    expect(stage.get('USER')).toBe(config.User);
    expect(stage.get('ENV')).toBe(config.Env[0]);
    expect(JSON.parse(stage.get('ENTRYPOINT') ?? '')).toEqual(config.Entrypoint);
  });

  it('copies the files that are in the image of `make image`', async () => {
    const files = join(folder, 'files');
    // What its build stage runs.
    expect(text).toContain('node image/main.ts "$TARGETARCH" --rootfs /rootfs');
    const args = [join(root, 'image/main.ts'), 'amd64', '--rootfs', files];
    expect(await runProgram(process.execPath, args)).toMatchObject({ code: 0, stderr: '' });
    const { code, stdout } = await runProgram('diff', ['-r', '--no-dereference', image.rootfs, files]);
    expect(stdout).toBe('');
    expect(code).toBe(0);
    expect((await lstat(join(files, 'usr/bin/node'))).mode & 0o777).toBe(0o755);
    expect(await readlink(join(files, 'usr/bin/adaptlet'))).toBe('../lib/adaptlet/main.mjs');
  });
});
