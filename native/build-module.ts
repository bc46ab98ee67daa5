/**
 * `make token-masks` and `make sampling`: build a module of WebAssembly again, where cargo and its target for it are, and write
 * what it was made of to made.json. Nobody has to: the file is in the repository, and is the same for all machines.
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  digestOf,
  fileOf,
  folderOf,
  type MadeOf,
  type Module,
  madeFileOf,
  modules,
  sourcesDigest,
} from './modules.ts';

const run = promisify(execFile);
const target = 'wasm32-unknown-unknown';
const stackBytes = 1 << 20;

const cargoHome = process.env['CARGO_HOME'] ?? join(homedir(), '.cargo');

const flagsOf = (module: Module): string =>
  [
    ...module.flags,
    `-C link-arg=--max-memory=${module.memory}`,
    `-C link-arg=-zstack-size=${stackBytes}`,
    // Panics name their files: the same ones, whoever builds it.
    `--remap-path-prefix=${cargoHome}=cargo`,
    `--remap-path-prefix=${folderOf(module)}=${module.name}`,
  ].join(' ');

const call = async (module: Module, command: string, ...args: readonly string[]): Promise<string> => {
  const { stdout } = await run(command, [...args], {
    cwd: folderOf(module),
    env: { ...process.env, RUSTFLAGS: flagsOf(module) },
    maxBuffer: 1 << 24,
  });
  return stdout;
};

const advice = `install Rust 1.87 or newer (https://rustup.rs), and run: rustup target add ${target}`;

/** @throws what cargo says, with what to do */
const build = async (module: Module): Promise<MadeOf> => {
  try {
    const compiler = (await call(module, 'rustc', '--version')).split(' ')[1] ?? '';
    await call(module, 'cargo', 'build', '--release', '--locked', '--target', target);
    const built = `target/${target}/release/${module.name.replace('-', '_')}.wasm`;
    await writeFile(fileOf(module), await readFile(join(folderOf(module), built)));
    const lock = await readFile(join(folderOf(module), 'Cargo.lock'), 'utf8');
    const versionOf = (name: string): string =>
      new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(lock)?.[1] ?? '';
    return {
      crates: Object.fromEntries(Object.keys(module.crates).map((name) => [name, versionOf(name)])),
      rustc: compiler,
      sources: await sourcesDigest(module),
      module: digestOf(await readFile(fileOf(module))),
    };
  } catch (cause) {
    throw new Error(`${module.name}.wasm stays as it is: ${String(cause)}\n${advice}`, { cause });
  }
};

const [asked = ''] = process.argv.slice(2);
const module = modules.find(({ name }) => name === asked);
if (module === undefined)
  throw new Error(`${asked} is no module; say one of ${modules.map(({ name }) => name).join(', ')}`);
const made = await build(module);
await writeFile(madeFileOf(module), `${JSON.stringify(made, undefined, 2)}\n`);
process.stdout.write(`==> built ${module.name}.wasm: ${made.module}\n`);
