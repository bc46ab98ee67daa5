import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildOperator, type Compiler } from './build-operator.ts';

const run = promisify(execFile);

/** Sanitizers see most of what is not optimized, and its build takes a third of the time. */
const builds = {
  sanitized: ['-O0', '-g1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
  'as built': [],
} as const;

export type CheckedBuild = keyof typeof builds;
export const checkedBuilds = Object.keys(builds) as CheckedBuild[];

export type Cases = { readonly seed: number; readonly cases: number };

/** Of ADAPTLET_NATIVE_SEED and ADAPTLET_NATIVE_CASES, else new ones at each run. */
export const wantedCases = (): Cases => ({
  seed: Number(process.env['ADAPTLET_NATIVE_SEED'] ?? Math.floor(Math.random() * 2 ** 31)),
  cases: Number(process.env['ADAPTLET_NATIVE_CASES'] ?? 300),
});

/**
 * Builds check.c and runs it: random shapes against float64. Answers what it prints, with the seed.
 * `runner`: what the program is run by, an emulator for instance.
 * @throws what the compiler says; a result is wrong, with its seed
 */
export const checkKernels = async (options: {
  readonly compiler: Compiler;
  readonly build: CheckedBuild;
  readonly wanted: Cases;
  readonly flags?: readonly string[];
  readonly runner?: readonly string[];
}): Promise<string> => {
  const { compiler, build, wanted, flags = [], runner = [] } = options;
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-native-'));
  try {
    const out = join(folder, 'check');
    await buildOperator({ compiler, out, flags: [...builds[build], ...flags], main: 'check.c' });
    const numbers = [String(wanted.seed), String(wanted.cases)];
    const [emulator, ...its] = runner;
    const { stdout } = await (emulator === undefined
      ? run(out, numbers)
      : run(emulator, [...its, out, ...numbers]));
    return stdout.trim();
  } catch (error) {
    const said = error instanceof Error && 'stdout' in error ? String(error.stdout).trim() : '';
    throw new Error(`native check, ${build}, seed ${wanted.seed}: ${said} ${String(error)}`, {
      cause: error,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
