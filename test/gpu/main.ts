/**
 * `make gpu`: an ONNX Runtime with CUDA and all that it needs out of wheels of PyPI, then on it the tests that compare a provider
 * with torch and PEFT, and the bench `providers` against the CPU. Needs Linux x64, python3 with pip, and the driver of an NVIDIA GPU.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { libraryVariable } from '../../src/runtime/engine/protocol.ts';
import { cudaLibrary } from '../tools/cuda.ts';

const root = join(import.meta.dirname, '../..');
const say = (line: string): void => void process.stdout.write(`==> ${line}\n`);

if (!existsSync('/proc/driver/nvidia/version'))
  throw new Error('this machine has no NVIDIA driver: run it where nvidia-smi shows a GPU');
say('ONNX Runtime with CUDA, cuDNN and cuBLAS: about 2 GB of wheels of PyPI, once');
const cuda = await cudaLibrary();
if (cuda === undefined) throw new Error('the wheels are for Linux x64, and python3 with pip fetches them');
const paths = [...cuda.paths, process.env['LD_LIBRARY_PATH'] ?? ''].filter((path) => path !== '');
const env = { ...process.env, LD_LIBRARY_PATH: paths.join(':') };

const run = async (
  program: string,
  args: readonly string[],
  more: Readonly<Record<string, string>>,
): Promise<void> => {
  say([program, ...args].join(' '));
  const child = spawn(program, args, { cwd: root, stdio: 'inherit', env: { ...env, ...more } });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
};

await run('vitest', ['run', '--project', 'gpu', '--bail', '1'], { [libraryVariable]: cuda.library });
await run('node', ['test/bench/main.ts', 'providers', '--json'], { ADAPTLET_BENCH_PROVIDER: 'cuda' });
