import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const sources = import.meta.dirname;

/** Instruction sets that kernels.c is compiled for: the level of the x86-64 psABI, or what every processor has. */
const levels = {
  x64: { avx512: 4, avx2: 3, plain: undefined },
  arm64: { neon: undefined, plain: undefined },
} as const satisfies Readonly<Record<string, Readonly<Record<string, number | undefined>>>>;

export type OperatorArchitecture = keyof typeof levels;

export const operatorFile = 'libadaptlet-lora.so';

/** Sums in the order in which they are written, products and sums fused where the processor can. */
const common = [
  '-O2',
  '-std=gnu17',
  '-ffp-contract=fast',
  // Weights come as bytes, and are read as what they are.
  '-fno-strict-aliasing',
  '-fPIC',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  // Vectors are passed within functions that are one after inlining.
  '-Wno-psabi',
  '-Werror',
];

export type BuildOptions = {
  /** A C compiler for the architecture, with its first arguments, and how it is told a level of x86-64. */
  readonly compiler: {
    readonly command: readonly [string, ...string[]];
    readonly level?: (level: number) => string;
  };
  readonly architecture: OperatorArchitecture;
  /** The library, or the program of `main`. */
  readonly out: string;
  /** Flags of compiler and linker, such as sanitizers. */
  readonly flags?: readonly string[];
  /** A program in place of the library: its source. */
  readonly main?: string;
};

/** Compiles the operator. @throws what the compiler says */
export const buildOperator = async (options: BuildOptions): Promise<void> => {
  const { compiler, architecture, out, flags = [], main } = options;
  await mkdir(join(out, '..'), { recursive: true });
  const folder = await mkdtemp(`${out}.`);
  const {
    command: [command, ...first],
    level: ofLevel = (level) => `-march=x86-64-v${level}`,
  } = compiler;
  const call = (...args: readonly string[]) => run(command, [...first, ...args]);
  try {
    const objects: string[] = [];
    const compile = async (source: string, name: string, own: readonly string[]): Promise<void> => {
      const object = join(folder, `${name}.o`);
      await call(...common, ...own, ...flags, '-c', join(sources, source), '-o', object);
      objects.push(object);
    };
    for (const [name, level] of Object.entries<number | undefined>(levels[architecture])) {
      const names = [`-DLEVEL=${name}`, `-DLEVEL_${name.toUpperCase()}`];
      await compile('kernels.c', name, level === undefined ? names : [...names, ofLevel(level)]);
    }
    await compile('halves.c', 'halves', []);
    await compile(main ?? 'lora.c', 'main', []);
    const made = join(folder, 'made');
    const kind = main === undefined ? ['-shared', '-s'] : ['-lm'];
    await call(...flags, '-o', made, ...objects, ...kind);
    await rename(made, out);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const isHere = (name: string): name is OperatorArchitecture => Object.hasOwn(levels, name);

/** The compiler of this machine: what CC names, or cc. Undefined where there is none. */
const compilerHere = async (): Promise<string | undefined> => {
  const name = process.env['CC'] ?? 'cc';
  return await run(name, ['--version']).then(
    () => name,
    () => undefined,
  );
};

/** Builds it for this machine, unless it is newer than its sources. */
const main = async (): Promise<void> => {
  const architecture = arch();
  const target = join(sources, 'build', `${platform()}-${architecture}`);
  const portable = 'adapters take the portable way: one adapter a step (README, "The native operator")';
  if (!isHere(architecture)) return console.log(`==> no native operator for ${architecture}: ${portable}`);
  const compiler = await compilerHere();
  if (compiler === undefined)
    return console.log(`==> no C compiler here, so no native operator: ${portable}`);
  const out = join(target, operatorFile);
  await buildOperator({ compiler: { command: [compiler] }, architecture, out });
  console.log(`==> built the native operator with ${compiler}`);
  if (process.argv.includes('--check')) await check(compiler, architecture);
};

/** Random shapes against float64, once with the sanitizers and once as it is built. */
const check = async (compiler: string, architecture: OperatorArchitecture): Promise<void> => {
  const sanitizers = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'];
  const cases = process.env['ADAPTLET_NATIVE_CASES'] ?? '1000';
  const seed = process.env['ADAPTLET_NATIVE_SEED'] ?? String(Math.floor(Math.random() * 2 ** 31));
  for (const flags of [sanitizers, []]) {
    const out = join(sources, 'build', flags.length > 0 ? 'check-sanitized' : 'check');
    await buildOperator({ compiler: { command: [compiler] }, architecture, out, flags, main: 'check.c' });
    const { stdout } = await run(out, [seed, cases]);
    process.stdout.write(stdout);
  }
};

if (import.meta.main) await main();
