import { describe, expect, it } from 'vitest';
import type { Node } from '../../src/runtime/engine/onnx/graph.ts';
import { nodeMessage } from '../../src/runtime/engine/onnx/messages.ts';
import { changedGraph, withConstant, withInteger, withOperator } from '../support/changed-graph.ts';
import { aboutFixture, fixtureFolder, fixtureGraph } from '../support/fixture-models.ts';
import { aroundSteps, endless, stepsDuring, TestHost } from './support/host.ts';
import { openModel } from './support/open-model.ts';
import { scratch } from './support/tiny.ts';

const name = 'builder-phi3-longrope';
const { switch: border = 0 } = aboutFixture(name);

/** The graph with its choice of a table in a form that is not known. */
const chosenBy = (greater: (node: Node) => readonly Buffer[], constant = border): string =>
  fixtureFolder(
    name,
    changedGraph(fixtureGraph(name), (node) => {
      if (node.opType === 'Greater') return greater(node);
      return constant !== border && node.name.endsWith(`INT64/${border}`)
        ? [withConstant(node, border, constant)]
        : undefined;
    }),
  );

const notLess = (node: Node): readonly Buffer[] => [withOperator(node, 'GreaterOrEqual')];

const ask = (length: number, maxTokens: number) =>
  endless(null, '', maxTokens, {
    prompt: { kind: 'ids', ids: Array.from({ length }, (_, at) => 3 + ((at * at + length) % 16)) },
  });

describe('a graph that chooses by the longest row of a step, in a form that is not known', () => {
  it('runs one row a step, up to where it chooses, and says so', async () => {
    const host = await TestHost.open(chosenBy(notLess));
    const reasons = [
      expect.stringMatching(
        /^requests run one by one: .*Greater.* takes the length of the longest row of a step/,
      ),
      expect.stringMatching(/^requests of more than 71 tokens are refused: .* with 72/),
    ];
    expect(host.warnings).toEqual(expect.arrayContaining(reasons));
    expect(host.host.info.limits).toEqual(reasons);
    expect(host.host.info.contextLength).toBe(border - 1);
    const inputs = [ask(5, 20), ask(40, 30), ask(60, 11)];
    const { steps } = await stepsDuring(() => host.together(inputs));
    expect(new Set(steps.map(({ rows }) => rows))).toEqual(new Set([1]));
    expect(() => host.start(ask(60, 12))).toThrow(expect.objectContaining({ code: 'PROMPT_TOO_LONG' }));
    await host.close();
  });

  it('is refused where it chooses so early that running it shows another answer in pieces', async () => {
    await expect(openModel(chosenBy(notLess, 8), scratch())).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(/answers \d+ tokens at once and in pieces \(.*\) differently/),
    });
  });

  it('is refused where nobody knows when it chooses', async () => {
    const doubled = (node: Node): readonly Buffer[] => [
      nodeMessage({
        opType: 'Mul',
        name: 'double',
        inputs: [node.inputs[0] ?? '', node.inputs[0] ?? ''],
        outputs: ['double'],
      }),
      nodeMessage({
        opType: 'Greater',
        name: 'by',
        inputs: ['double', node.inputs[1] ?? ''],
        outputs: node.outputs,
      }),
    ];
    await expect(openModel(chosenBy(doubled), scratch())).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining('Greater by by a multiple of a length'),
    });
  });
});

describe('attention with a window', () => {
  const window = 6;
  const folder = (): string =>
    fixtureFolder(
      'builder-phi3',
      changedGraph(fixtureGraph('builder-phi3'), (node) =>
        node.opType === 'GroupQueryAttention' ? [withInteger(node, 'local_window_size', window)] : undefined,
      ),
    );

  it('has its window crossed at load, in pieces that end before, at and behind it', async () => {
    const seen: (readonly [before: number, tokens: number])[] = [];
    const restore = aroundSteps((given, prepare) => {
      const [, { ids, before }] = given;
      if (ids.length === 1) seen.push([before[0] ?? 0, ids[0]?.length ?? 0]);
      return prepare(given);
    });
    const { sessions, warnings } = await openModel(folder(), scratch());
    restore();
    expect(warnings).toEqual([]);
    expect(sessions.rowsTogether).toBe(true);
    expect(seen).toEqual(
      expect.arrayContaining([
        [0, window + 3],
        [0, window - 1],
        [window - 1, 1],
        [window, 1],
        [window + 1, 2],
      ]),
    );
    sessions.release();
  });

  it('is refused where it gives another answer in pieces', async () => {
    const restore = aroundSteps((given, prepare) => {
      const [, { ids, before }] = given;
      const run = prepare(given);
      const behind = ids.length === 1 && (before[0] ?? 0) > window;
      return async () => {
        const logits = await run();
        return behind ? logits.map((value, at) => value + at / logits.length) : logits;
      };
    });
    const opened = openModel(folder(), scratch());
    await expect(opened).rejects.toMatchObject({ code: 'MODEL_UNSUPPORTED' });
    restore();
  });
});

describe('a table of positions that is shorter than the context', () => {
  it('ends requests with its last row', async () => {
    const { info, settings, sessions } = await openModel(
      fixtureFolder('builder-phi3', undefined, 64),
      scratch(),
    );
    expect(settings.contextLength).toBe(32);
    expect(info.limits).toEqual([expect.stringMatching(/more than 32 tokens .* no more positions/)]);
    sessions.release();
  });
});
