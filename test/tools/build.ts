import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './cache.ts';

/**
 * Foreign tools that tests speak to, built from pinned sources into the user's cache: a registry, oras and grpcurl.
 * `node test/tools/build.ts` builds all of them.
 */
const packages = {
  registry: '.',
  oras: 'oras.land/oras/cmd/oras',
  grpcurl: 'github.com/fullstorydev/grpcurl/cmd/grpcurl',
} as const;

export type ToolName = keyof typeof packages;
const toolNames = Object.keys(packages) as ToolName[];

const sourceOf = (name: ToolName): string => fileURLToPath(new URL(name, import.meta.url));

/** The key of a build: equal sources and pins, equal tool. */
const keyOf = (name: ToolName): string => {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const file of ['go.mod', 'go.sum', 'main.go']) {
    const path = join(sourceOf(name), file);
    if (existsSync(path)) hash.update(file).update(readFileSync(path));
  }
  return hash.digest('hex').slice(0, 16);
};

type Run = { readonly code: number | undefined; readonly output: string };

/** `code` is undefined when the program is not there. */
const run = (command: string, args: readonly string[], cwd: string): Promise<Run> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => {
      if ('code' in error && error.code === 'ENOENT') resolve({ code: undefined, output });
      else reject(error);
    });
    child.on('close', (code) => {
      resolve({ code: code ?? 1, output });
    });
  });

const build = async (name: ToolName, target: string): Promise<boolean> => {
  const source = sourceOf(name);
  if ((await run('go', ['version'], source)).code === undefined) return false;
  process.stderr.write(`building ${name} for tests (once; needs the Go module proxy) ...\n`);
  mkdirSync(join(target, '..'), { recursive: true });
  const temporary = `${target}.${process.pid}.tmp`;
  const started = performance.now();
  const args = ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', temporary, packages[name]];
  const { code, output } = await run('go', args, source);
  if (code !== 0) throw new Error(`go build of ${name} failed:\n${output}`);
  // Two test runs may build at once: the last one wins, both are whole.
  renameSync(temporary, target);
  process.stderr.write(
    `built ${name} in ${((performance.now() - started) / 1000).toFixed(0)} s: ${target}\n`,
  );
  return true;
};

const building = new Map<ToolName, Promise<string | undefined>>();

/** Path of a tool, built on first use. Undefined when `go` is not installed. */
export const tool = (name: ToolName): Promise<string | undefined> => {
  const known = building.get(name);
  if (known !== undefined) return known;
  const path = join(cacheFolder('tools'), `${name}-${keyOf(name)}`);
  const result = existsSync(path)
    ? Promise.resolve(path)
    : build(name, path).then((built) => (built ? path : undefined));
  building.set(name, result);
  return result;
};

if (import.meta.main) {
  for (const name of toolNames) {
    const path = await tool(name);
    if (path === undefined) {
      process.stderr.write(
        'go is not installed: nothing built, the tests that need these tools are skipped\n',
      );
      process.exitCode = 1;
      break;
    }
    process.stdout.write(`${name} ${path}\n`);
  }
}
