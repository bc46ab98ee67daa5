/**
 * `make token-masks`: builds token-masks.wasm again, where cargo and its target for WebAssembly are, and writes what it was made of
 * to made.json. Nobody has to: the file is in the repository, and is the same for all machines.
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { digestOf, folder, type MadeOf, madeFile, moduleFile, sourcesDigest } from './made-of.ts';

const run = promisify(execFile);
const target = 'wasm32-unknown-unknown';
/** Bytes of memory of an instance at most, and of its stack. */
const limits = { memory: 256 << 20, stack: 1 << 20 };

const cargoHome = process.env['CARGO_HOME'] ?? join(homedir(), '.cargo');

const flags = [
  `-C link-arg=--max-memory=${limits.memory}`,
  `-C link-arg=-zstack-size=${limits.stack}`,
  // Panics name their files: the same ones, whoever builds it.
  `--remap-path-prefix=${cargoHome}=cargo`,
  `--remap-path-prefix=${folder}=token-masks`,
].join(' ');

const call = async (command: string, ...args: readonly string[]): Promise<string> => {
  const { stdout } = await run(command, [...args], {
    cwd: folder,
    env: { ...process.env, RUSTFLAGS: flags },
    maxBuffer: 1 << 24,
  });
  return stdout;
};

const advice = `install Rust 1.87 or newer (https://rustup.rs), and run: rustup target add ${target}`;

/** @throws what cargo says, with what to do */
const build = async (): Promise<MadeOf> => {
  try {
    const compiler = (await call('rustc', '--version')).split(' ')[1] ?? '';
    await call('cargo', 'build', '--release', '--locked', '--target', target);
    await writeFile(moduleFile, await readFile(join(folder, `target/${target}/release/token_masks.wasm`)));
    const lock = await readFile(join(folder, 'Cargo.lock'), 'utf8');
    const version = /name = "llguidance"\nversion = "([^"]+)"/.exec(lock)?.[1] ?? '';
    return {
      llguidance: version,
      rustc: compiler,
      sources: await sourcesDigest(),
      module: digestOf(await readFile(moduleFile)),
    };
  } catch (cause) {
    throw new Error(`token-masks.wasm stays as it is: ${String(cause)}\n${advice}`, { cause });
  }
};

const made = await build();
await writeFile(madeFile, `${JSON.stringify(made, undefined, 2)}\n`);
process.stdout.write(`==> built token-masks.wasm of llguidance ${made.llguidance}: ${made.module}\n`);
