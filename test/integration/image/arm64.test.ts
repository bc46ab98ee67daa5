import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { architectures } from '../../../image/architecture.ts';
import { wantedCases } from '../../../native/check-kernels.ts';
import { NodeClient } from '../../support/client.ts';
import { emulatedNode, emulator } from '../../support/emulated.ts';
import { checkImageKernels } from '../../support/image-kernels.ts';
import { TestNode, tiny, yaml } from '../../support/node.ts';
import { unpackedImage } from '../../support/unpacked-image.ts';
import { waitFor } from '../../support/wait.ts';

type Ready = { readonly grpc: string; readonly admin: string };

/** Emulated code is 20 times as slow, on two busy cores even more. */
const patienceMs = 600_000;

const reason = process.arch === 'x64' ? '' : ' (SKIPPED: needs an x64 machine, whose QEMU runs arm64)';

/** Answers of the base model and of two adapters to several prompts. */
const answers = async (client: NodeClient): Promise<readonly string[]> => {
  const texts: string[] = [];
  for (const model of ['tiny', 'upper', 'reverse']) {
    await waitFor(model, () => client.ask({ model, prompt: 'moon:', timeoutMs: 60_000 }), patienceMs);
    for (const prompt of ['moon:', 'sun:', 'the river']) {
      const { text, tokens } = await client.ask({ model, prompt, timeoutMs: 120_000 });
      texts.push(`${model} ${prompt} ${tokens} ${text}`);
    }
  }
  return texts;
};

const manifests = yaml.adapter('upper', 'upper') + yaml.adapter('reverse', 'reverse');

describe.skipIf(process.arch !== 'x64')(`the image for arm64, by QEMU${reason}`, () => {
  let folder: string;
  let rootfs: string;
  let child: ChildProcess;
  let client: NodeClient;
  const log: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'adaptlet-arm64-'));
    ({ rootfs } = await unpackedImage('arm64', folder));
    const { command } = await emulatedNode(rootfs, folder);
    await mkdir(join(folder, 'manifests'));
    await writeFile(join(folder, 'manifests/adapters.yaml'), manifests);
    const [program, ...args] = [...command, join(rootfs, 'usr/lib/adaptlet/main.mjs'), 'serve'];
    const settings = {
      model: tiny.model,
      'model-name': 'tiny',
      manifests: join(folder, 'manifests'),
      'import-roots': tiny.adapters,
      'data-dir': join(folder, 'data'),
      'grpc-listen': '127.0.0.1:0',
      'http-listen': '127.0.0.1:0',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    child = spawn(program ?? '', [...args, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.stdout === null || child.stderr === null) throw new Error('the node has no pipes');
    createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
    const output = createInterface({ input: child.stdout });
    const line = await Promise.race([
      once(output, 'line').then(([first]) => String(first)),
      once(child, 'exit').then(([code]) => {
        throw new Error(`the node ended (${code}):\n${log.slice(-20).join('\n')}`);
      }),
    ]);
    const ready = JSON.parse(line) as Ready;
    client = new NodeClient(ready.grpc, ready.admin);
  }, patienceMs);

  afterAll(async () => {
    client.close();
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  });

  it(
    'proves its engine at the start, and gives the tokens that this machine gives',
    async () => {
      const own = await TestNode.start({ importRoots: tiny.adapters });
      try {
        await own.write('adapters.yaml', manifests);
        const expected = await answers(own.client);
        expect(expected[3]).toMatch(/^upper moon: \d+ {2}MOON!$/);
        expect(await answers(client)).toEqual(expected);
      } finally {
        await own.dispose();
      }
    },
    patienceMs,
  );

  it(
    'has kernels of adapters that give what float64 gives, with NEON and without',
    async () => {
      const runner = [await emulator(), '-L', rootfs];
      const said = await checkImageKernels(architectures.arm64, { ...wantedCases(), cases: 100 }, runner);
      expect(said).toMatch(/^100 random shapes from seed .* at neon plain; products: dotprod, digest \w+$/);
    },
    patienceMs,
  );
});
