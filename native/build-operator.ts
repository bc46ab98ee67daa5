import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A level of the x86-64 psABI, or the 64-bit Arm architecture, and a feature that it may lack. */
export type Target = {
  readonly base: 'x86-64-v3' | 'x86-64-v4' | 'armv8.2-a';
  readonly feature?: 'avxvnni' | 'avx512vnni' | 'dotprod';
};

/** Instruction sets of an architecture; without a target it is what every processor has. */
type Levels = Readonly<Record<string, Target | undefined>>;

const avx512: Target = { base: 'x86-64-v4' };
const avx2: Target = { base: 'x86-64-v3' };

/** What is compiled for each instruction set; `checked`: for programs only. */
const sources = {
  kernels: ['kernels.c', 'attend.c'],
  products: ['products.c'],
  checked: ['products.c'],
} as const;

const levels = {
  x64: {
    kernels: { avx512, avx2, plain: undefined },
    products: {
      vnni: { ...avx512, feature: 'avx512vnni' },
      avxvnni: { ...avx2, feature: 'avxvnni' },
      avx2,
    },
    // What is for AVX-VNNI, so that processors with AVX-512 can run it.
    checked: { vnni256: { ...avx512, feature: 'avx512vnni' } },
  },
  arm64: {
    kernels: { neon: undefined, plain: undefined },
    products: { dotprod: { base: 'armv8.2-a', feature: 'dotprod' } },
    checked: {},
  },
} as const satisfies Readonly<Record<string, Readonly<Record<keyof typeof sources, Levels>>>>;

/** As Node's `process.arch` names it. */
export type OperatorArchitecture = keyof typeof levels;

export const isOperatorArchitecture = (name: string): name is OperatorArchitecture =>
  Object.hasOwn(levels, name);

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
  /** How it is told a target. Default: as GCC and Clang are. */
  readonly target?: (target: Target) => readonly string[];
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

/** GCC and Clang take a feature of x86-64 by itself. */
const ownTarget = ({ base, feature }: Target): readonly string[] =>
  feature === undefined
    ? [`-march=${base}`]
    : base === 'armv8.2-a'
      ? [`-march=${base}+${feature}`]
      : [`-march=${base}`, `-m${feature}`];

/** Puts a file of another file system to its place whole: nobody loads half a library. */
const moveTo = async (made: string, out: string): Promise<void> => {
  const draft = `${out}.${process.pid}.tmp`;
  await mkdir(dirname(out), { recursive: true });
  await copyFile(made, draft);
  await rename(draft, out);
};

/** Compiles the operator. @throws what the compiler says */
export const buildOperator = async ({ compiler, out, flags = [], main }: BuildOptions): Promise<void> => {
  const { command, architecture, environment, target: flagsOf = ownTarget } = compiler;
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
    for (const part of [
      'kernels',
      'products',
      ...(main === undefined ? [] : (['checked'] as const)),
    ] as const)
      for (const [name, target] of Object.entries<Target | undefined>(levels[architecture][part])) {
        const names = [`-DLEVEL=${name}`, `-DLEVEL_${name.toUpperCase()}`];
        const own = target === undefined ? names : [...names, ...flagsOf(target)];
        for (const source of sources[part]) objects.push(await compile(source, `${source}-${name}`, own));
      }
    for (const source of ['halves.c', 'pack.c']) objects.push(await compile(source, source, []));
    for (const source of main === undefined ? operators : [main])
      objects.push(await compile(source, source, []));
    const made = join(folder, 'made');
    const kind = main === undefined ? ['-shared'] : [];
    // Without symbols, unless flags ask for more: what Zig builds of its own for that is the same for library and program.
    const strip = flags.length === 0 ? ['-s'] : [];
    await call(...flags, '-o', made, ...objects, ...kind, ...strip, '-lm');
    await moveTo(made, out);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
