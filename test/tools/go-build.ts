import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A program of Go modules, pinned by the go.mod and go.sum of its folder. */
export type GoProgram = {
  readonly name: string;
  /** The folder with go.mod, go.sum and, for a program of ours, main.go. */
  readonly source: string;
  readonly package: string;
  readonly ldflags?: string;
  /** Compiled in half of the time, for a program whose speed nobody measures. */
  readonly isUnoptimised?: boolean;
  /** Said before a build that takes long. */
  readonly expected?: string;
};

/** The key of a build: equal sources and pins, a program that does the same. */
export const keyOf = (source: string): string => {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const file of ['go.mod', 'go.sum', 'main.go']) {
    const path = join(source, file);
    if (existsSync(path)) hash.update(file).update(readFileSync(path));
  }
  return hash.digest('hex').slice(0, 16);
};

type Run = { readonly code: number | undefined; readonly output: string };

/** `code` is undefined when the program is not there. */
const run = (
  command: string,
  args: readonly string[],
  cwd: string,
  line: (text: string) => void = () => undefined,
): Promise<Run> =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, CGO_ENABLED: '0' };
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer): void => {
      const text = chunk.toString();
      output += text;
      for (const each of text.split('\n')) if (each !== '') line(each);
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

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const progressMs = 30_000;

/** Says every half a minute how many packages were compiled: `go build -v` writes the name of each. */
const progress = (name: string): ((line: string) => void) => {
  let packages = 0;
  let said = performance.now();
  return () => {
    packages++;
    if (performance.now() - said < progressMs) return;
    said = performance.now();
    say(`  ${name}: ${packages} packages downloaded or compiled so far`);
  };
};

/** Builds the program to `target`. False when `go` is not installed; throws with the compiler's words when it fails. */
export const goBuild = async (program: GoProgram, target: string): Promise<boolean> => {
  const { name, source } = program;
  if ((await run('go', ['version'], source)).code === undefined) return false;
  const expected = program.expected === undefined ? '' : `, ${program.expected}`;
  say(`building ${name} for tests (once${expected}; needs the Go module proxy) ...`);
  mkdirSync(dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}.tmp`;
  const started = performance.now();
  const ldflags = `-ldflags=-s -w ${program.ldflags ?? ''}`.trimEnd();
  // What debuggers read is left out in the end: a fifth of the work of the compiler.
  const gcflags = `-gcflags=all=-dwarf=false${program.isUnoptimised === true ? ' -N -l' : ''}`;
  const flags = ['-v', '-mod=readonly', '-trimpath', '-buildvcs=false', ldflags, gcflags];
  const { code, output } = await run(
    'go',
    ['build', ...flags, '-o', temporary, program.package],
    source,
    progress(name),
  );
  if (code !== 0) throw new Error(`go build of ${name} failed:\n${output.slice(-8000)}`);
  // Two test runs may build at once: the last one wins, both are whole.
  renameSync(temporary, target);
  say(`built ${name} in ${((performance.now() - started) / 1000).toFixed(0)} s: ${target}`);
  return true;
};
