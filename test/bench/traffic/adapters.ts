import { join } from 'node:path';
import { convertAdapter } from '../../../src/runtime/adapter/conversion/convert.ts';
import type { Precision } from '../../../src/runtime/adapter/conversion/precision.ts';
import type { Engine, EngineInfo } from '../../../src/runtime/engine/engine.ts';
import { smollm } from '../../support/models.ts';
import { writeSyntheticAdapter } from '../../support/synthetic-adapter.ts';
import { type BenchBase, compileFor } from '../base.ts';

/** Compiled files by adapter name. */
export type Files = ReadonlyMap<string, string>;

/** Trained with rank 8 on every linear; the tiny model has one such adapter. */
const trained = (model: BenchBase): readonly string[] => {
  const folder = smollm()?.adapters;
  if (folder === undefined) return [model.allLinear];
  return ['json-extract-v1', 'json-extract-v2', 'json-extract-v3-regressed'].map((name) =>
    join(folder, name),
  );
};

/** Adapters of one rank on every linear, in float16 unless told otherwise: the trained ones first, for rank 8, then random ones. */
export const makeAdapters = async (
  model: BenchBase,
  info: EngineInfo,
  options: {
    readonly folder: string;
    readonly rank: number;
    readonly count: number;
    readonly precision?: Precision;
  },
): Promise<Files> => {
  const { folder, rank, count, precision = 'float16' } = options;
  const sources = rank === 8 ? trained(model).slice(0, count) : [];
  const files = new Map<string, string>();
  for (let i = 0; i < count; i += 1) {
    const name = `r${rank}-${precision}-${i}`;
    let source = sources[i];
    if (source === undefined) {
      source = join(folder, `${name}-source`);
      await writeSyntheticAdapter(source, model.configFile, {
        rank,
        seed: 100 * rank + i,
        precision: 'float16',
      });
    }
    if (precision === 'int8') {
      const converted = join(folder, `${name}-converted`);
      await convertAdapter({ folder: source, outFolder: converted, to: precision, maxRank: 256 });
      source = converted;
    }
    files.set(name, (await compileFor(info, source, join(folder, `${name}.bin`))).file);
  }
  return files;
};

export const loadAll = async (engine: Engine, ...sets: readonly Files[]): Promise<void> => {
  for (const files of sets) for (const [name, file] of files) await engine.load(name, file);
};
