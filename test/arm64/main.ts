/**
 * `make arm64`: the kernels of the native operator, then the suites of unit and conformance on Node, ONNX Runtime and koffi
 * for arm64, by QEMU on an x64 machine. `node test/arm64/main.ts [ARGUMENT…]`: arguments of `vitest run` in place of the suites.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { architectures } from '../../image/architecture.ts';
import { root } from '../../image/source.ts';
import { wantedCases } from '../../native/check-kernels.ts';
import { emulator } from '../support/emulated.ts';
import { checkImageKernels } from '../support/image-kernels.ts';
import { arm64Copy } from './copy.ts';

/** Emulated code is 20 to 40 times as slow: what a test waits for may take that much longer. */
const patience = '40';

const say = (line: string): void => void process.stdout.write(`==> ${line}\n`);
if (process.arch !== 'x64')
  throw new Error(`this machine is ${process.arch}: on arm64, run make test itself`);
const { folder: copy, rootfs, preload } = await arm64Copy(root, say);
const cases = wantedCases();
const checked = await checkImageKernels(architectures.arm64, cases, [await emulator(), '-L', rootfs]);
say(`kernels of the native operator: ${checked}`);
const digestIn = (said: string): string | undefined => /digest \w+/.exec(said)?.[0];
const here = await checkImageKernels(architectures.amd64, cases);
if (digestIn(here) !== digestIn(checked)) throw new Error(`products have other bits here: ${here}`);
const given = process.argv.slice(2);
const wanted = given.length > 0 ? given : ['--project', 'unit', '--project', 'conformance'];
say(`vitest run ${wanted.join(' ')} in ${copy}; emulated, so for hours`);
// Vitest itself reads and transforms files on this machine's Node; the processes that run tests are emulated.
const vitest = ['--import', preload, join(copy, 'node_modules/vitest/vitest.mjs'), 'run', ...wanted];
const child = spawn('nice', ['-n', '15', process.execPath, ...vitest], {
  cwd: copy,
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${join(copy, 'node_modules/.bin')}:${process.env['PATH']}`,
    ADAPTLET_TEST_PATIENCE: patience,
    ADAPTLET_MODELS: process.env['ADAPTLET_MODELS'] ?? join(root, '../shared/models'),
  },
});
const [code] = await once(child, 'exit');
process.exitCode = typeof code === 'number' ? code : 1;
