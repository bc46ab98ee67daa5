import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBufferingDoor } from '../support/buffering-door.ts';
import { tiny } from '../support/node.ts';
import { repositoryRoot } from '../support/process.ts';
import { runProgram } from '../support/program.ts';
import { folderOfTest, folderOfTests } from '../support/temporary-folder.ts';
import { tool } from '../tools/build.ts';
import {
  distributionAuth,
  type RegistryAuth,
  type RegistryProcess,
  startDistribution,
  startRegistry,
} from '../tools/registry-process.ts';

const [registryTool, distribution, oras, crane] = await Promise.all(
  (['registry', 'distribution', 'oras', 'crane'] as const).map((name) => tool(name)),
);
const missing = [registryTool, distribution, oras, crane].includes(undefined);
const upper = join(tiny.adapters, 'upper');
const names = ['adapter_config.json', 'adapter_model.safetensors'];

type Kind = {
  readonly name: string;
  readonly auth: RegistryAuth;
  readonly start: (folder: string) => Promise<RegistryProcess>;
};
const bearer: RegistryAuth = { kind: 'bearer', user: 'edge', password: 'pass:word' };
const kinds: readonly Kind[] = [
  {
    name: 'go-containerregistry with tokens',
    auth: bearer,
    start: () => startRegistry(registryTool ?? '', { auth: bearer }),
  },
  {
    name: 'distribution 3 with Basic authentication',
    auth: distributionAuth,
    start: (folder) => startDistribution(distribution ?? '', join(folder, 'registry')),
  },
];

/** Content by name of all files below a folder. */
const contentOf = async (folder: string): Promise<Record<string, string>> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = paths.map(
    async (path) => [path.slice(folder.length + 1), await readFile(path, 'base64')] as const,
  );
  return Object.fromEntries(await Promise.all(pairs));
};

describe.skipIf(missing).each(kinds)(
  'artifacts in $name (needs go to build registries, oras and crane)',
  ({ auth, start }) => {
    let registry: RegistryProcess;
    const root = folderOfTests();
    let number = 0;
    /** Of what a test pushes: registry/repository:tag that no other has. */
    const fresh = (): string => `${registry.host}/team/sql:v${++number}`;

    /** Runs a program with the credentials of a docker configuration; gives what it prints. */
    const run = async (program: string, args: readonly string[], cwd = root): Promise<string> => {
      const env = { HOME: root, DOCKER_CONFIG: root };
      const { code, stdout, stderr } = await runProgram(program, args, { cwd, env });
      if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    const adaptlet = (...args: readonly string[]): Promise<string> =>
      run(join(repositoryRoot, 'bin/adaptlet'), args);
    const pushed = async (image: string, ...flags: readonly string[]): Promise<string> => {
      const said = await adaptlet('push', upper, image, '--json', ...flags);
      return (JSON.parse(said) as { readonly digest: string }).digest;
    };
    /** The files that a pull of an adapter gives. */
    const pulled = async (image: string): Promise<Record<string, string>> => {
      const out = join(root, `out-${++number}`);
      await adaptlet('pull', image, out);
      return await contentOf(out);
    };
    const runCrane = (...args: readonly string[]): Promise<string> =>
      run(crane ?? '', [...args, '--insecure']);

    beforeAll(async () => {
      registry = await start(root);
      const login = Buffer.from(`${auth.user}:${auth.password}`).toString('base64');
      await writeFile(
        join(root, 'config.json'),
        JSON.stringify({ auths: { [registry.host]: { auth: login } } }),
      );
    });
    afterAll(async () => {
      await registry[Symbol.asyncDispose]();
    });

    it('are pushed under the digest of the folder, and come back byte by byte', async () => {
      const image = fresh();
      const digest = await pushed(image);
      expect(digest).toBe((await adaptlet('digest', upper)).trim());
      expect(await pulled(image)).toEqual(await contentOf(upper));
      expect(await pulled(`${registry.host}/team/sql@${digest}`)).toEqual(await contentOf(upper));
    });

    it('are read and copied by oras, also through a layout on the disk', async () => {
      const [image, copy] = [fresh(), fresh()];
      const digest = await pushed(image);
      expect((await run(oras ?? '', ['resolve', '--plain-http', image])).trim()).toBe(digest);
      const out = join(root, 'by-oras');
      await run(oras ?? '', ['pull', '--plain-http', image, '-o', out]);
      expect(await contentOf(out)).toEqual(await contentOf(upper));
      const layout = `${join(root, 'layout')}:sql`;
      await run(oras ?? '', ['cp', '--from-plain-http', image, '--to-oci-layout', layout]);
      await run(oras ?? '', ['cp', '--from-oci-layout', layout, '--to-plain-http', copy]);
      expect((await run(oras ?? '', ['resolve', '--plain-http', copy])).trim()).toBe(digest);
      expect(await pulled(copy)).toEqual(await contentOf(upper));
    });

    it('are read and copied by crane', async () => {
      const [image, copy] = [fresh(), fresh()];
      const digest = await pushed(image);
      expect((await runCrane('digest', image)).trim()).toBe(digest);
      const manifest = JSON.parse(await runCrane('manifest', image)) as object;
      expect(manifest).toMatchObject({ artifactType: 'application/vnd.cncf.model.manifest.v1+json' });
      await runCrane('copy', image, copy);
      expect((await runCrane('digest', copy)).trim()).toBe(digest);
      expect(await pulled(copy)).toEqual(await contentOf(upper));
    });

    it.each([
      ['ModelPack', ['--layers', 'tar']],
      ['ModelPack of the time before CNCF', ['--legacy-cnai']],
      ['ModelPack of the time before CNCF', ['--legacy-cnai', '--layers', 'tar']],
      ['image', ['--as-image']],
    ] as const)('are pushed in the form %s by %j, and come back byte by byte', async (form, flags) => {
      const image = fresh();
      const digest = await pushed(image, ...flags);
      expect((await run(oras ?? '', ['resolve', '--plain-http', image])).trim()).toBe(digest);
      expect(JSON.parse(await adaptlet('inspect', image, '--json'))).toMatchObject({ form, digest });
      expect(await pulled(image)).toEqual(await contentOf(upper));
    });

    it('are images to crane where they are pushed as such: valid, with the files below /models', async () => {
      const image = fresh();
      await pushed(image, '--as-image');
      expect(await runCrane('validate', '--remote', image)).toContain('PASS');
      const archive = join(root, 'exported.tar');
      await runCrane('export', image, archive);
      const out = join(root, 'exported');
      await mkdir(out);
      await run('tar', ['-xf', archive, '-C', out]);
      expect(await contentOf(join(out, 'models'))).toEqual(await contentOf(upper));
    });

    it('are taken out of an image that crane made, with a system beside them', async () => {
      const image = fresh();
      const layer = join(root, `layer-${number}.tar`);
      const tree = join(root, `tree-${number}`);
      await mkdir(join(tree, 'bin'), { recursive: true });
      await cp(upper, join(tree, 'data/adapter'), { recursive: true });
      await writeFile(join(tree, 'bin/program'), 'x');
      await run('ln', ['-s', 'program', join(tree, 'bin/sh')]);
      await run('tar', ['-cf', layer, '-C', tree, '.']);
      await runCrane('append', '--oci-empty-base', '--new_layer', layer, '--new_tag', image);
      expect(await pulled(image)).toEqual(await contentOf(upper));
    });

    it('are taken where oras pushed files, and an index of one of them', async () => {
      const image = fresh();
      await run(oras ?? '', ['push', '--plain-http', image, ...names], upper);
      expect(await pulled(image)).toEqual(await contentOf(upper));
      const tag = image.split(':').at(-1) ?? '';
      const index = `${registry.host}/team/sql:index`;
      await run(oras ?? '', ['manifest', 'index', 'create', '--plain-http', index, tag]);
      expect(await pulled(index)).toEqual(await contentOf(upper));
    });

    it('are base models, which come back byte by byte as well', async () => {
      const image = fresh();
      await adaptlet('model', 'push', tiny.model, image);
      const out = join(root, 'model');
      await adaptlet('model', 'pull', image, out);
      const found = await contentOf(out);
      const own = await contentOf(tiny.model);
      expect(found).toMatchObject(own);
      await runCrane('copy', image, fresh());
    });

    it('are linted in their registry', async () => {
      const image = fresh();
      await pushed(image);
      expect(JSON.parse(await adaptlet('lint', `oci://${image}`, '-o', 'json'))).toMatchObject({
        adapters: 1,
        problems: [],
      });
    });
  },
);

describe.skipIf(missing)(
  'a push to distribution behind a proxy that holds bodies until they are whole',
  () => {
    it('goes on after a cut where the registry was, and does not begin anew', async () => {
      const root = folderOfTest();
      await using registry = await startDistribution(distribution ?? '', join(root, 'registry'));
      await using door = await startBufferingDoor(registry.host);
      const login = Buffer.from(`${distributionAuth.user}:${distributionAuth.password}`).toString('base64');
      await writeFile(join(root, 'config.json'), JSON.stringify({ auths: { [door.host]: { auth: login } } }));
      const folder = join(root, 'large');
      await cp(upper, folder, { recursive: true });
      const bytes = 24 << 20;
      await writeFile(join(folder, 'notes.txt'), randomBytes(bytes));
      door.cutsAt = 12 << 20;
      const image = `${door.host}/team/sql:v1`;
      const env = { DOCKER_CONFIG: root };
      const program = join(repositoryRoot, 'bin/adaptlet');
      const result = await runProgram(program, ['push', folder, image], { env });
      expect(result).toMatchObject({ code: 0, stderr: '' });
      expect(door.seen.filter((asked) => asked.startsWith('PATCH'))).toHaveLength(4);
      // The piece that was under way is sent again, and nothing else.
      expect(door.received).toBeLessThan(bytes + (9 << 20));
      const out = join(root, 'out');
      expect((await runProgram(program, ['pull', image, out], { env })).code).toBe(0);
      expect(await contentOf(out)).toEqual(await contentOf(folder));
    });
  },
);
