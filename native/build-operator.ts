import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Instruction sets that kernels are compiled for: the level of the x86-64 psABI, or what every processor has. */
const levels = {
  x64: { avx512: 4, avx2: 3, plain: undefined },
  arm64: { neon: undefined, plain: undefined },
} as const satisfies Readonly<Record<string, Readonly<Record<string, number | undefined>>>>;

/** As Node's `process.arch` names it. */
export type OperatorArchitecture = keyof typeof levels;

export const isOperatorArchitecture = (name: string): name is OperatorArchitecture =>
  Object.hasOwn(levels, name);

/** What is compiled for each instruction set. */
const kernels = ['kernels.c', 'attend.c'];
/** What the library has besides the kernels, and what registers it. */
const operators = ['lora.c', 'attention.c', 'linear.c', 'library.c'];

/** Of the C files. */
export const operatorSources = import.meta.dirname;
export const operatorFile = 'libadaptlet-lora.so';

/** Where the runtime looks for it, below this repository or the bundle: see src/runtime/engine/ort/operator.ts. */
export const operatorPath = (architecture: OperatorArchitecture): string =>
  `native/build/linux-${architecture}/${operatorFile}`;

/** Sums in the order in which they are written, and fused with products where kernels.c says so. */
const common = [
  '-O2',
  '-std=gnu17',
  '-ffp-contract=off',
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

/** A C compiler for an architecture: GCC 12, Clang 15 or newer. */
export type Compiler = {
  /** With its first arguments. */
  readonly command: readonly [string, ...string[]];
  readonly architecture: OperatorArchitecture;
  /** How it is told a level of x86-64. */
  readonly level?: (level: number) => string;
  readonly environment?: Readonly<Record<string, string>>;
};

export type BuildOptions = {
  readonly compiler: Compiler;
  /** The library, or the program of `main`. */
  readonly out: string;
  /** Flags of compiler and linker, such as sanitizers. */
  readonly flags?: readonly string[];
  /** A program in place of the library: its source. */
  readonly main?: string;
};

/** Puts a file of another file system to its place whole: nobody loads half a library. */
const moveTo = async (made: string, out: string): Promise<void> => {
  const draft = `${out}.${process.pid}.tmp`;
  await mkdir(dirname(out), { recursive: true });
  await copyFile(made, draft);
  await rename(draft, out);
};

/** Compiles the operator. @throws what the compiler says */
export const buildOperator = async ({ compiler, out, flags = [], main }: BuildOptions): Promise<void> => {
  const { command, architecture, environment, level: ofLevel = (of) => `-march=x86-64-v${of}` } = compiler;
  const [program, ...first] = command;
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-native-'));
  const call = (...args: readonly string[]) =>
    run(program, [...first, ...args], { env: { ...process.env, ...environment } });
  const compile = async (source: string, name: string, own: readonly string[]): Promise<string> => {
    const object = join(folder, `${name}.o`);
    await call(...common, ...own, ...flags, '-c', join(operatorSources, source), '-o', object);
    return object;
  };
  try {
    // One after the other: what runs beside it on a small machine keeps a core.
    const objects: string[] = [];
    for (const [name, level] of Object.entries<number | undefined>(levels[architecture])) {
      const names = [`-DLEVEL=${name}`, `-DLEVEL_${name.toUpperCase()}`];
      const own = level === undefined ? names : [...names, ofLevel(level)];
      for (const source of kernels) objects.push(await compile(source, `${source}-${name}`, own));
    }
    if (architecture === 'x64') objects.push(await compile('products.c', 'products', [ofLevel(4)]));
    for (const source of ['halves.c', 'pack.c']) objects.push(await compile(source, source, []));
    for (const source of main === undefined ? operators : [main])
      objects.push(await compile(source, source, []));
    const made = join(folder, 'made');
    await call(...flags, '-o', made, ...objects, ...(main === undefined ? ['-shared', '-s'] : []), '-lm');
    await moveTo(made, out);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
