import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { floatPair, type PairAt } from '../../src/runtime/engine/adapters/pairs.ts';
import { openPrepared } from '../../src/runtime/engine/graphs/prepared-graph.ts';
import { gatherLogitsRows } from '../../src/runtime/engine/onnx/logits-rows.ts';
import { openDecoder, proofAnswers, provePrepared } from '../../src/runtime/engine/proofs/prove-prepared.ts';
import { unwiredModules } from '../../src/runtime/engine/proofs/wiring.ts';
import { NodeDisk } from '../../src/runtime/start/node-disk.ts';
import { silentLog } from '../../src/telemetry/log.fixture.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { unmount } from '../support/unmount.ts';
import { exportedLogits } from './support/exported-logits.ts';
import { withInlineWeights } from './support/inline-weights.ts';
import {
  allLogits,
  floatsAt,
  greedy,
  type OpenModel,
  openModel,
  readConfig,
  withLora,
} from './support/open-model.ts';
import { operator } from './support/operator.ts';
import {
  compileFor,
  golden,
  goldenLogits,
  greedyOf,
  maxDifference,
  sameBits,
  tinyAdapters,
  tinyFolder,
  tinyModel,
} from './support/tiny.ts';

/** Largest absolute difference to the reference's logits, which reach 12.8. */
const tolerance = 1e-4;
/** The same to the exported graph, whose attention is ONNX Runtime's: in int4 activations of 8 bits amplify a last bit. */
const nearExported = { fp32: tolerance, int4: 0.5 } as const;
const loaded = (model: OpenModel, name: string) => model.adapters.get(name);

const zeros = (count: number): Float32Array => new Float32Array(count);

describe.each(['fp32', 'int4'] as const)('the tiny model in %s', (precision) => {
  let model: OpenModel;

  beforeAll(async () => {
    const folder = folderOfFile();
    model = await openModel(tinyModel(precision), folder);
    for (const name of tinyAdapters) {
      const file = await compileFor(model.info, join(tinyFolder, 'adapters', name), folder);
      await model.adapters.load(name, file);
    }
  });
  afterAll(() => model.sessions.release());

  it('shares the weights between its graphs', () => {
    expect(model.warnings).toEqual([]);
    expect(model.info.sites).toHaveLength(14);
  });

  if (precision === 'fp32')
    it('gives the logits of the reference at every position, base and each adapter', async () => {
      const { base } = model.sessions;
      for (const [index, { input_ids }] of golden.prompts.entries()) {
        const logits = await allLogits(withLora(base), input_ids);
        expect(maxDifference(logits, goldenLogits('base')[index]!)).toBeLessThanOrEqual(tolerance);
        for (const name of tinyAdapters) {
          const adapted = await allLogits(loaded(model, name), input_ids);
          expect(maxDifference(adapted, goldenLogits(name)[index]!)).toBeLessThanOrEqual(tolerance);
          expect(maxDifference(adapted, logits)).toBeGreaterThan(1);
        }
      }
    });

  it('gives the greedy tokens and text of the reference, base and each adapter', async () => {
    const { base } = model.sessions;
    for (const [index, { text, input_ids }] of golden.prompts.entries()) {
      expect(model.codec.encode({ kind: 'text', text })).toEqual(input_ids);
      const options = { eosIds: model.settings.eosIds, count: 32 };
      for (const name of ['base', ...tinyAdapters]) {
        const from = name === 'base' ? withLora(base) : loaded(model, name);
        const ids = await greedy(from, input_ids, options);
        expect(ids).toEqual(greedyOf(name)[index]?.ids);
        expect(model.codec.decode(ids)).toBe(greedyOf(name)[index]?.text);
      }
    }
  });

  // Attention of the native operator adds up in another order than ONNX Runtime's.
  const same = operator === undefined ? 'bit-equal' : 'near';
  it(`is ${same} to the exported graph without an adapter, and gives the same bits with rank 0`, async () => {
    const { base, lora } = model.sessions;
    const shape = { ...readConfig(tinyModel(precision)), headSize: model.settings.headSize };
    for (const { input_ids } of golden.prompts) {
      const exported = await exportedLogits(tinyModel(precision), shape, input_ids);
      expect(exported.every(Number.isFinite)).toBe(true);
      const logits = await allLogits(withLora(base), input_ids);
      if (operator === undefined) expect(sameBits(logits, exported)).toBe(true);
      else expect(maxDifference(logits, exported)).toBeLessThanOrEqual(nearExported[precision]);
      expect(sameBits(await allLogits(withLora(lora), input_ids), logits)).toBe(true);
    }
  });

  it('leaves no trace of an adapter on what runs after it', async () => {
    const { base } = model.sessions;
    const ids = golden.prompts[1]!.input_ids;
    const before = await allLogits(loaded(model, 'upper'), ids);
    const plain = await allLogits(withLora(base), ids);
    await allLogits(loaded(model, 'reverse'), ids);
    expect(sameBits(await allLogits(loaded(model, 'upper'), ids), before)).toBe(true);
    expect(sameBits(await allLogits(withLora(base), ids), plain)).toBe(true);
  });

  it('takes different ranks at different linears', async () => {
    const { lora } = model.sessions;
    const pairs = new Map<string, PairAt>();
    for (const [index, { module, inFeatures, outFeatures }] of lora.sites.entries()) {
      const rank = [0, 1, 4, 8, 16][index % 5]!;
      pairs.set(
        module,
        floatPair(rank, floatsAt(zeros(rank * inFeatures)), floatsAt(zeros(rank * outFeatures))),
      );
    }
    const ids = golden.prompts[0]!.input_ids;
    const mixed = await allLogits(withLora(lora, pairs), ids);
    expect(maxDifference(mixed, await allLogits(withLora(lora), ids))).toBe(0);
  });

  it('gives the same for a prompt in one step and in several', async () => {
    const ids = golden.prompts[3]!.input_ids;
    const { graph, feeds } = loaded(model, 'upper');
    const whole = await graph.logitsOf(feeds, ids, [ids.length - 1]);
    const cache = graph.newCache(ids.length);
    await graph.prepare(feeds, ids.slice(0, 3), cache, [2])();
    const rest = await graph.prepare(feeds, ids.slice(3), cache, [ids.length - 4])();
    expect(cache.length).toBe(ids.length);
    // Fewer rows per step are another kernel, which for int4 rounds activations differently.
    expect(maxDifference(rest, whole)).toBeLessThan(precision === 'fp32' ? tolerance : 0.5);
  });

  it('ends a step that is interrupted, and answers as before after it', async () => {
    const { graph, feeds } = loaded(model, 'upper');
    const ids = Array.from({ length: 120 }, (_, index) => 3 + index);
    const cache = graph.newCache(ids.length);
    const before = (await graph.prepare(feeds, ids, cache, [0])()).slice();
    /** The error of a step that is interrupted; a small model may be through before. */
    const interruptOnce = async (): Promise<string> => {
      const room = graph.newCache(ids.length);
      const running = graph.prepare(feeds, ids, room, [0])();
      graph.interrupt();
      const outcome = await running.then(() => 'through', String);
      expect(room.length).toBe(outcome === 'through' ? ids.length : 0);
      room.release();
      return outcome;
    };
    const outcomes: string[] = [];
    while (outcomes.length < 200 && (outcomes.at(-1) ?? 'through') === 'through') {
      outcomes.push(await interruptOnce());
    }
    expect(outcomes.at(-1)).toMatch(/terminate/);
    cache.release();
    const again = await graph.logitsOf(feeds, ids, [0]);
    expect(sameBits(again, before)).toBe(true);
  });

  it('takes feeds of its own only', async () => {
    const { base, lora } = model.sessions;
    const feeds = lora.feeds(new Map());
    await expect(allLogits({ graph: base, feeds }, [3, 5])).rejects.toThrow(/another session/);
    feeds.release();
  });

  it('has every LoRA input wired to the logits', async () => {
    expect(await unwiredModules(model.sessions.lora)).toEqual([]);
  });
});

describe('one adapter in three precisions', () => {
  it('agrees within what the precision of the file allows', async () => {
    const folder = folderOfFile();
    const model = await openModel(tinyModel('fp32'), folder);
    const files = {
      fp16: join(tinyFolder, 'adapters/upper'),
      fp32: join(tinyFolder, 'variants/valid-fp32'),
      bf16: join(tinyFolder, 'variants/valid-bf16'),
    };
    const logits: Record<string, Float32Array[]> = {};
    for (const [name, path] of Object.entries(files)) {
      const adapter = await model.adapters.load(name, await compileFor(model.info, path, folder));
      logits[name] = [];
      for (const { input_ids } of golden.prompts) logits[name].push(await allLogits(adapter, input_ids));
      const options = { eosIds: model.settings.eosIds, count: 32 };
      const ids = await greedy(adapter, golden.prompts[1]!.input_ids, options);
      expect(model.codec.decode(ids)).toBe(' MOON!');
    }
    for (const index of golden.prompts.keys()) {
      expect(maxDifference(logits['fp32']![index]!, logits['fp16']![index]!)).toBeLessThanOrEqual(tolerance);
      expect(maxDifference(logits['bf16']![index]!, logits['fp16']![index]!)).toBeLessThan(0.2);
    }
    model.sessions.release();
  });
});

describe('a prepared graph', () => {
  it('is proved to give the answers of the exported model, and refused when it does not', async () => {
    const cache = folderOfFile();
    const { sessions, settings } = await openModel(tinyModel('int4'), cache);
    sessions.release();
    const [name = ''] = readdirSync(join(cache, 'prepared'));
    const weightsFolder = tinyModel('int4');
    const answersOf = proofAnswers(openDecoder({ threads: 1, headSize: settings.headSize }));
    const exported = readFileSync(join(weightsFolder, 'model.onnx'));
    const expected = await answersOf({ graph: gatherLogitsRows(exported), weightsFolder, optimised: false });
    const answersWith = async (weights: string): Promise<Float32Array> => {
      const prepared = openPrepared(join(cache, 'prepared', name), join(weights, 'model.onnx'));
      const answers = await answersOf({ ...prepared, weightsFolder: weights, optimised: true });
      prepared.weights.release();
      return answers;
    };
    provePrepared(expected, await answersWith(weightsFolder), name);
    const other = folderOfFile();
    const bytes = readFileSync(join(weightsFolder, 'model.onnx.data'));
    // Beyond the embedding, which most tokens do not touch.
    for (let at = 70_000; at < bytes.length; at += 1) bytes.writeUInt8(bytes.readUInt8(at) ^ 0x11, at);
    writeFileSync(join(other, 'model.onnx.data'), bytes);
    cpSync(join(weightsFolder, 'model.onnx'), join(other, 'model.onnx'));
    const wrong = await answersWith(other);
    expect(() => provePrepared(expected, wrong, name)).toThrow(/does not give the answers/);
  });

  /** A folder of the tiny model whose weights lie in its graph. */
  const inlineModel = (): string => {
    const folder = join(folderOfFile(), 'onnx');
    cpSync(tinyModel('int4'), folder, { recursive: true });
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
      cpSync(join(tinyModel('int4'), '..', name), join(folder, name));
    writeFileSync(join(folder, 'model.onnx'), withInlineWeights(tinyModel('int4')));
    rmSync(join(folder, 'model.onnx.data'));
    return folder;
  };

  it('of weights that lie in the graph itself writes none where the disk budget has no room for them, and answers all the same', async () => {
    const [folder, cache] = [inlineModel(), folderOfFile()];
    const cacheRoomBytes = statSync(join(folder, 'model.onnx')).size - 1;
    // Another one, whose room would not be enough, stays.
    mkdirSync(join(cache, 'prepared/another'), { recursive: true });
    writeFileSync(
      join(cache, 'prepared/another/prepared.json'),
      JSON.stringify({ of: 'another', files: [] }),
    );
    const full = await openModel(folder, cache, { cacheRoomBytes });
    expect(full.warnings).toContainEqual(
      expect.stringMatching(
        /^the weights cannot be shared, .* with ONNX Runtime's products of linears: .* do not fit the disk budget of this runtime/,
      ),
    );
    expect(full.info.native?.linears).toBe(false);
    expect(readdirSync(join(cache, 'prepared'))).toEqual(['another']);
    expect((await allLogits(withLora(full.sessions.base), [3, 5, 7])).every(Number.isFinite)).toBe(true);
    full.sessions.release();
  });

  it('of weights that lie in the graph itself takes the room of what it replaces in the disk budget', async () => {
    const [folder, dataDir] = [inlineModel(), folderOfFile()];
    const cacheDir = join(dataDir, 'base');
    const disk = statSync(join(folder, 'model.onnx')).size * 1.5;
    const opened = async (): Promise<readonly string[]> => {
      const nodeDisk = new NodeDisk({ disk, adapterDisk: 0, modelDisk: 0, dataDir }, silentLog);
      await nodeDisk.countPrepared();
      const cacheRoomBytes = nodeDisk.preparedRoom(cacheDir);
      const { sessions, warnings } = await openModel(folder, cacheDir, { cacheRoomBytes });
      sessions.release();
      return warnings;
    };
    expect(await opened()).toEqual([]);
    const root = join(cacheDir, 'prepared');
    const [name = ''] = readdirSync(root);
    // Another version of the program made it.
    writeFileSync(join(root, name, 'prepared.json'), JSON.stringify({ of: 'another graph', files: [] }));
    expect(await opened()).toEqual([]);
    // It is of another ONNX Runtime or processor, to which the machine may go back.
    renameSync(join(root, name), join(root, 'another'));
    expect(await opened()).toEqual([expect.stringContaining('is removed to make room: ')]);
    expect(readdirSync(root)).toEqual([name]);
  });

  it.skipIf(process.getuid?.() !== 0)(
    'of weights that lie in the graph itself takes the room of what it replaces on a disk that is full (needs root to mount a small tmpfs)',
    async () => {
      const [folder, disk] = [inlineModel(), folderOfFile()];
      const { size } = statSync(join(folder, 'model.onnx'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${3 * size}`, 'tmpfs', disk]);
      onTestFinished(async () => void (await unmount(disk)));
      const opened = async (): Promise<readonly string[]> => {
        const { sessions, warnings } = await openModel(folder, disk);
        sessions.release();
        return warnings;
      };
      expect(await opened()).toEqual([]);
      const root = join(disk, 'prepared');
      const [name = ''] = readdirSync(root);
      renameSync(join(root, name), join(root, 'another'));
      const { bavail, bsize } = statfsSync(disk);
      writeFileSync(join(disk, 'others'), Buffer.alloc(bavail * bsize - 1.2 * size));
      expect(await opened()).toEqual([expect.stringContaining('is removed to make room: 1 MiB')]);
      expect(readdirSync(root)).toEqual([name]);
    },
  );

  it('of weights that lie in the graph itself reads them from a file beside it, with the same answers', async () => {
    const [folder, cache] = [inlineModel(), folderOfFile()];
    const [inline, outside] = [
      await openModel(folder, cache),
      await openModel(tinyModel('int4'), folderOfFile()),
    ];
    const [prepared = ''] = readdirSync(join(cache, 'prepared'));
    const constants = statSync(join(cache, 'prepared', prepared, 'constants.bin'));
    expect(constants.size).toBeGreaterThan(100_000);
    expect(statSync(join(cache, 'prepared', prepared, 'optimised.onnx')).size).toBeLessThan(60_000);
    expect([...inline.warnings, ...outside.warnings]).toEqual([]);
    const answers = [];
    for (const { sessions } of [inline, outside]) {
      answers.push(await allLogits(withLora(sessions.base), [3, 5, 7]));
      answers.push(await allLogits(withLora(sessions.lora), [3, 5, 7]));
      sessions.release();
    }
    for (const answer of answers) expect(sameBits(answer, answers[0]!)).toBe(true);
  });
});
