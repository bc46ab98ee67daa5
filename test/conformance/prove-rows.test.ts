import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { proveRows } from '../../src/runtime/engine/proofs/prove-rows.ts';
import { tolerances } from '../../src/runtime/engine/proofs/row-answers.ts';
import type { DecoderSession } from '../../src/runtime/engine/session/decoder-session.ts';
import { fixtureFolder, fixtureNames } from '../support/fixture-models.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { aroundSteps, stepsDuring } from './support/host.ts';
import { type OpenModel, openModel } from './support/open-model.ts';
import { itWithOperator } from './support/operator.ts';
import { tinyModel } from './support/tiny.ts';

type Given = Parameters<DecoderSession['prepareRows']>;

describe('the proof that rows can run together', () => {
  let model: OpenModel;
  beforeAll(async () => {
    model = await openModel(tinyModel('fp32'), folderOfFile());
  });
  afterAll(() => model.sessions.release());
  let restore = (): void => undefined;
  afterEach(() => restore());

  const prove = async (cacheDir = folderOfFile()) => {
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    const together = await proveRows(model.sessions.lora, {
      key: 'graph',
      cacheDir,
      near: [],
      tolerance: tolerances.exact,
      warn,
      doing: () => undefined,
    });
    return { together, warnings, kept: existsSync(join(cacheDir, 'rows/graph')) };
  };

  /** Changes what steps of several rows are given, and what they give. */
  const disturb = (
    before: (given: Given) => Given,
    after: (logits: Float32Array, rows: number) => void = () => undefined,
  ): void => {
    restore = aroundSteps((given, prepare) => {
      const rows = given[1].ids.length;
      const run = prepare(rows > 1 ? before(given) : given);
      return async () => {
        const logits = await run();
        if (rows > 1) after(logits, rows);
        return logits;
      };
    });
  };

  it('is made once for a graph', async () => {
    const cacheDir = folderOfFile();
    expect(await prove(cacheDir)).toEqual({ together: true, warnings: [], kept: true });
    const { result, steps } = await stepsDuring(() => prove(cacheDir));
    expect(result).toEqual({ together: true, warnings: [], kept: true });
    expect(steps).toEqual([]);
  });

  it.each<[string, (given: Given) => Given, ((logits: Float32Array, rows: number) => void)?]>([
    [
      'rows get the answers of others',
      (given) => given,
      (logits, rows) => logits.copyWithin(0, logits.length / rows, (2 * logits.length) / rows),
    ],
    [
      'a row gets a fiftieth of the answer of another',
      (given) => given,
      (logits, rows) => {
        const size = logits.length / rows;
        for (let at = 0; at < size; at += 1) logits[at] = (49 * logits[at]! + logits[at + size]!) / 50;
      },
    ],
    [
      'all rows get the length of the first',
      ([feeds, rows, ...more]) => [
        feeds,
        { ...rows, before: rows.before.map(() => rows.before[0]!) },
        ...more,
      ],
    ],
    [
      'rows get the tokens of others',
      ([feeds, rows, ...more]) => [feeds, { ...rows, ids: rows.ids.toReversed() }, ...more],
    ],
    ['answers are not finite', (given) => given, (logits) => logits.fill(NaN)],
  ])('fails where %s: it warns, and does not remember that', async (_, before, after) => {
    disturb(before, after);
    expect(await prove()).toEqual({
      together: false,
      warnings: [expect.stringContaining('requests run one by one')],
      kept: false,
    });
  });

  itWithOperator('fails where rows get the adapters of others', async () => {
    const { lora } = model.sessions;
    const mixed = lora.mixed.bind(lora);
    const spy = vi.spyOn(lora, 'mixed').mockImplementation(() => {
      const feeds = mixed()!;
      return { ...feeds, of: ([first, second, ...more]) => feeds.of([second, first, ...more]) };
    });
    restore = () => spy.mockRestore();
    expect(await prove()).toMatchObject({ together: false, kept: false });
  });

  it('fails where the graph refuses several rows', async () => {
    disturb(() => {
      throw new Error('a batch of 1 only');
    });
    expect(await prove()).toEqual({
      together: false,
      warnings: [expect.stringContaining('a batch of 1 only')],
      kept: false,
    });
  });
});

describe('graphs of real exporters', () => {
  it.each(fixtureNames.filter((name) => !name.startsWith('bert')))(
    '%s: runs rows together where its attention is told their lengths, and one at a time where it does not look at its mask',
    async (name) => {
      const { sessions, warnings } = await openModel(fixtureFolder(name), folderOfFile());
      const together = name.startsWith('builder');
      expect(sessions.rowsTogether).toBe(together);
      expect(warnings).toEqual(
        together ? [] : [expect.stringContaining('requests run one by one: rows that')],
      );
      sessions.release();
    },
  );
});
