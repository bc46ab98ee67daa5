import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { benchCache } from '../base.ts';

const execute = promisify(execFile);

/** The load generators, in these versions, installed once into the cache of the benches. */
const versions = { ghz: 'v0.120.0', autocannon: '8.0.0' } as const;

/**
 * `ghz` by Go's module proxy.
 * @throws Go is not there, or the proxy is not
 */
export const ghzProgram = async (): Promise<string> => {
  const folder = benchCache('load', `ghz-${versions.ghz}`);
  const program = join(folder, 'ghz');
  if (existsSync(program)) return program;
  await mkdir(folder, { recursive: true });
  console.error(`load: building ghz ${versions.ghz} (once; needs Go and its module proxy)`);
  await execute('go', ['install', `github.com/bojand/ghz/cmd/ghz@${versions.ghz}`], {
    env: { ...process.env, GOBIN: folder, GOFLAGS: '', CGO_ENABLED: '0' },
    maxBuffer: 64 << 20,
  });
  return program;
};

/**
 * The main file of `autocannon` by npm.
 * @throws npm or its registry is not there
 */
export const autocannonProgram = async (): Promise<string> => {
  const folder = benchCache('load', `autocannon-${versions.autocannon}`);
  const program = join(folder, 'node_modules/autocannon/autocannon.js');
  if (existsSync(program)) return program;
  await mkdir(folder, { recursive: true });
  console.error(`load: installing autocannon ${versions.autocannon} (once; needs the npm registry)`);
  await execute(
    'npm',
    ['install', '--prefix', folder, '--no-audit', '--no-fund', `autocannon@${versions.autocannon}`],
    {
      maxBuffer: 64 << 20,
    },
  );
  return program;
};

export const versionText = `ghz ${versions.ghz}, autocannon ${versions.autocannon}`;
