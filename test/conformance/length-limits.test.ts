import { describe, expect, it, vi } from 'vitest';
import { windowOf } from '../../src/runtime/engine/onnx/attention-windows.ts';
import { type Node, readGraph } from '../../src/runtime/engine/onnx/graph.ts';
import { nodeMessage } from '../../src/runtime/engine/onnx/messages.ts';
import { DecoderSession } from '../../src/runtime/engine/session/decoder-session.ts';
import { changedGraph, withConstant, withInteger, withOperator } from '../support/changed-graph.ts';
import { aboutFixture, fixtureFolder, fixtureGraph } from '../support/fixture-models.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { aroundSteps, endless, stepsDuring, TestHost } from './support/host.ts';
import { type OpenWish, openModel } from './support/open-model.ts';
import { operator } from './support/operator.ts';

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
    await expect(openModel(chosenBy(notLess, 8), folderOfFile())).rejects.toMatchObject({
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
    await expect(openModel(chosenBy(doubled), folderOfFile())).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining('Greater by by a multiple of a length'),
    });
  });
});

const withWindow = (window: number, fixture = 'builder-phi3'): string =>
  fixtureFolder(
    fixture,
    changedGraph(fixtureGraph(fixture), (node) =>
      node.opType === 'GroupQueryAttention' ? [withInteger(node, 'local_window_size', window)] : undefined,
    ),
  );

/** Steps of one row while a model is opened: tokens before them, and their own. */
const openedBy = async (...given: Parameters<typeof openModel>) => {
  const steps: (readonly [before: number, tokens: number])[] = [];
  const restore = aroundSteps((step, prepare) => {
    const [, { ids, before }] = step;
    if (ids.length === 1) steps.push([before[0] ?? 0, ids[0]?.length ?? 0]);
    return prepare(step);
  });
  try {
    return { ...(await openModel(...given)), steps };
  } finally {
    restore();
  }
};

/** Opens a model whose answers are other ones in steps of one row behind so many tokens. */
const openedOtherBehind = async (tokens: number, ...given: Parameters<typeof openModel>) => {
  const restore = aroundSteps((step, prepare) => {
    const [, { ids, before }] = step;
    const run = prepare(step);
    const behind = ids.length === 1 && (before[0] ?? 0) > tokens;
    return async () => {
      const logits = await run();
      return behind ? logits.map((value, at) => value + at / logits.length) : logits;
    };
  });
  try {
    return await openModel(...given);
  } finally {
    restore();
  }
};

const piecesAcross = (crossed: number) =>
  expect.arrayContaining([
    [0, crossed + 3],
    [0, crossed - 1],
    [crossed - 1, 1],
    [crossed, 1],
    [crossed + 1, 2],
  ]);

describe('attention with a window', () => {
  const window = 6;

  it('has its window crossed at load, in pieces that end before, at and behind it', async () => {
    const { sessions, warnings, steps } = await openedBy(withWindow(window), folderOfFile());
    expect(warnings).toEqual([]);
    expect(sessions.rowsTogether).toBe(true);
    expect(steps).toEqual(piecesAcross(window));
    sessions.release();
  });

  it('is refused where it gives another answer in pieces', async () => {
    await expect(openedOtherBehind(window, withWindow(window), folderOfFile())).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
    });
  });
});

describe('attention of ONNX Runtime with a window that is too far to be crossed at a start', () => {
  const window = 80;
  const standIn = 32;
  const far = (): string => withWindow(window, name);
  const foreign = { operator: undefined };

  const int8 = {
    precision: 'int8',
    budgetBytes: 64 << 20,
    available: undefined,
    besideBytes: 0,
    requests: 8,
  } as const;

  const wishes: readonly (readonly [string, OpenWish])[] = [
    ['without the native operator', foreign],
    ['with keys and values in int8', { kv: int8 }],
  ];

  /** Opens a model; `opening` is told of the session with smaller windows, and how many others are open then. */
  const openedWith = async (opening: (others: number) => void, wish: OpenWish) => {
    const live = new Set<DecoderSession>();
    const open = Reflect.get(DecoderSession, 'open');
    const spy = vi.spyOn(DecoderSession, 'open').mockImplementation(async (...given) => {
      if (readGraph(given[0]).nodes.some((node) => windowOf(node) === standIn)) opening(live.size);
      const session = await open.apply(DecoderSession, given);
      live.add(session);
      const release = session.release.bind(session);
      session.release = () => {
        live.delete(session);
        release();
      };
      return session;
    });
    try {
      return await openModel(far(), folderOfFile(), wish);
    } finally {
      spy.mockRestore();
    }
  };

  it.each(wishes)('is crossed while no other session is open: %s', async (_, wish) => {
    const opening = vi.fn();
    const { sessions } = await openedWith(opening, wish);
    expect(opening.mock.calls).toEqual([[0]]);
    sessions.release();
  });

  it.each(wishes)(
    'ends requests where it begins to bind, where the graph with a smaller one does not open, and says why: %s',
    async (_, wish) => {
      const model = await openedWith(() => {
        throw new Error('no memory');
      }, wish);
      const limits = [
        expect.stringMatching(/^requests of more than 80 tokens are refused: .*: Error: no memory$/),
      ];
      expect([model.info.limits, model.warnings]).toEqual([limits, limits]);
      expect(model.sessions.maxTokens).toBe(window);
      model.sessions.release();
    },
  );

  it('does not open where the start is given up meanwhile', async () => {
    const stop = new AbortController();
    const opened = openedWith(
      () => {
        stop.abort(new Error('given up'));
        throw new Error('no memory');
      },
      { ...foreign, signal: stop.signal },
    );
    await expect(opened).rejects.toThrow('given up');
  });

  it.each(wishes)('is crossed once with a smaller one in its place: %s', async (_, wish) => {
    const cache = folderOfFile();
    const { sessions, warnings, steps, info } = await openedBy(far(), cache, wish);
    expect([warnings, info.limits]).toEqual([[], []]);
    expect(steps).toEqual(piecesAcross(standIn));
    sessions.release();
    const again = await openedBy(far(), cache, wish);
    expect(again.steps).not.toEqual(piecesAcross(standIn));
    again.sessions.release();
  });

  it('ends requests where it begins to bind, where a smaller one gives another answer in pieces, and says so', async () => {
    const model = await openedOtherBehind(standIn, far(), folderOfFile(), foreign);
    expect(model.info.limits).toEqual([
      expect.stringMatching(
        /^requests of more than 80 tokens are refused: attention looks back 80 tokens, .* answers 35 tokens at once and in pieces .* differently$/,
      ),
    ]);
    expect(model.sessions.maxTokens).toBe(window);
    model.sessions.release();
  });

  if (operator !== undefined)
    it('is not where the native operator computes it, which is proved', async () => {
      const { sessions, steps } = await openedBy(far(), folderOfFile());
      expect(sessions.foreignAttention).toBeUndefined();
      expect(steps).not.toEqual(piecesAcross(standIn));
      sessions.release();
    });
});

describe('a table of positions that is shorter than the context', () => {
  it('ends requests with its last row', async () => {
    const { info, settings, sessions } = await openModel(
      fixtureFolder('builder-phi3', undefined, 64),
      folderOfFile(),
    );
    expect(settings.contextLength).toBe(32);
    expect(info.limits).toEqual([expect.stringMatching(/more than 32 tokens .* no more positions/)]);
    sessions.release();
  });
});
