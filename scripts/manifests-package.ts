/**
 * Makes dist/adaptlet-cdk8s-VERSION.tgz (or in the folder that is given): the constructs of cdk8s/ as an npm package. Node
 * strips no types within node_modules, so it holds JavaScript and declarations.
 */
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { run } from './suite.ts';

const root = join(import.meta.dirname, '..');
const out = resolve(process.argv[2] ?? join(root, 'dist'));
const folder = join(out, 'adaptlet-cdk8s');
const { version, license, dependencies, devDependencies, engines } = packageJson;

const must = async (command: string): Promise<void> => {
  if ((await run(command)) !== 0) throw new Error(`failed: ${command}`);
};

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
await must(`tsc --project cdk8s/tsconfig.json --outDir '${folder}'`);
const manifest = {
  name: 'adaptlet-cdk8s',
  version,
  description:
    'Adapter, AdapterRollout, AdapterRoute, AdapterPolicy and the install of Adaptlet as cdk8s constructs.',
  license,
  type: 'module',
  engines,
  exports: { '.': { types: './cdk8s/index.d.ts', default: './cdk8s/index.js' } },
  dependencies: { re2js: dependencies.re2js, zod: dependencies.zod },
  peerDependencies: { cdk8s: devDependencies.cdk8s, constructs: devDependencies.constructs },
};
await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'));
await must(`npm pack --silent --pack-destination '${out}' '${folder}'`);
