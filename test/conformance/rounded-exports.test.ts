import { describe, expect, it } from 'vitest';
import { AdapterTable } from '../../src/runtime/engine/adapters/adapter-table.ts';
import { Arena } from '../../src/runtime/engine/adapters/arena.ts';
import { Mutex } from '../../src/runtime/engine/mutex.ts';
import type { DecoderSession } from '../../src/runtime/engine/session/decoder-session.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { adapterOf, expectedExports, goldenOf, roundedFolderOf } from './support/exports.ts';
import { TestHost } from './support/host.ts';
import { allLogits, withLora } from './support/open-model.ts';
import { operator } from './support/operator.ts';
import { compileFor, maxDifference } from './support/tiny.ts';

/** Root of the mean square. */
const sizeOf = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
const lessEach = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, at) => value - b[at]!);

/** Of what is compared, in its root of the mean square: what 8 bits of activations make of two layers. */
const tolerance = 0.05;

const quantised = expectedExports.filter(({ how }) => how.includes('int4') && !how.includes('half'));

describe.each(quantised)('$name, exported as $how, with activations of 8 bits', (exported) => {
  it('gives the logits of PyTorch, and adds what the adapter adds in PEFT, but for what they round', async () => {
    const host = await TestHost.open(roundedFolderOf(exported));
    const { base, lora, ownProducts } = host.sessions;
    expect(ownProducts).toBe(operator !== undefined);
    const table = new AdapterTable<DecoderSession>({
      arena: new Arena(1 << 20),
      graph: lora,
      expected: host.host.info,
      steps: new Mutex(),
    });
    const file = await compileFor(host.host.info, adapterOf(exported), folderOfFile());
    const adapted = await table.load('adapted', file);
    for (const golden of goldenOf(exported)) {
      const plain = await allLogits(withLora(base), golden.ids);
      const changed = await allLogits(adapted, golden.ids);
      const [off, offAdded] = [
        sizeOf(lessEach(plain, golden.base)) / sizeOf(golden.base),
        sizeOf(lessEach(lessEach(changed, plain), lessEach(golden.adapted, golden.base))) /
          sizeOf(lessEach(golden.adapted, golden.base)),
      ];
      expect(off).toBeLessThan(tolerance);
      expect(offAdded).toBeLessThan(tolerance);
      // They do round.
      expect(maxDifference(plain, golden.base)).toBeGreaterThan(0.001);
    }
    await host.close();
  });
});
