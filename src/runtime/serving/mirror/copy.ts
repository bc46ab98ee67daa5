import type { ObjectKey } from '../../../api/names.ts';
import type { Engine, GenerateEvent, GenerateInput } from '../../engine/engine.ts';
import type { EncodeResult } from '../../engine/tasks.ts';
import type { Mirrored } from '../counts/copy-tally.ts';
import type { EncodeRequest, GenerateRequest } from '../serving.ts';
import {
  type AnswerTokens,
  type Comparison,
  compareEncoded,
  compareTokens,
  maxComparedTokens,
} from './compare.ts';

/** Who gets a copy. */
export type MirrorTarget = Mirrored & { readonly rollout: ObjectKey; readonly adapter: ObjectKey };

/** What an answer to a copy says. */
export type CopyAnswer = {
  /** Undefined: both answers were sampled by chance, they say nothing about each other. */
  readonly comparison: Comparison | undefined;
  /** Milliseconds to the first token of each, of the engine's own work. Absent where one of them is not known. */
  readonly times?: { readonly stable: number; readonly canary: number };
  readonly canaryMs?: number;
};

/** A request that stable answered, as it is put to the canary. */
export type Copy = {
  /** Of the call of the engine. */
  readonly id: string;
  readonly target: MirrorTarget;
  ask(engine: Engine, engineName: string, signal: AbortSignal): Promise<CopyAnswer>;
};

/**
 * Copies are of a namespace of their own, which no object can have, with the lowest priority that there is: among what waits for a place the engine
 * takes requests first, and it is copies that make way.
 */
const asCopy = { namespace: 'adaptlet.io/mirror', tenant: '', priority: -1000 } as const;

/** Follows the tokens of an answer, up to as many as are compared. */
class Tokens implements AnswerTokens {
  readonly ids: number[] = [];
  total = 0;
  firstTokenMs: number | undefined;
  /** All of the prompt was computed: the time of a first token of which less was is an estimate. */
  isWhole = true;

  observe(event: GenerateEvent): void {
    if (event.kind === 'done') {
      this.isWhole = (event.cachedTokens ?? 0) === 0;
      return;
    }
    this.firstTokenMs ??= event.firstTokenMs;
    this.total += event.ids.length;
    const room = maxComparedTokens - this.ids.length;
    if (room > 0) this.ids.push(...event.ids.slice(0, room));
  }
}

/** A generation that stable is asked for, while it answers; `copy` once it has. */
export class MirroredGeneration {
  readonly #stable = new Tokens();
  readonly #target: MirrorTarget;
  readonly #id: string;
  readonly #request: GenerateRequest;

  constructor(target: MirrorTarget, id: string, request: GenerateRequest) {
    this.#target = target;
    this.#id = id;
    this.#request = request;
  }

  observe(event: GenerateEvent): void {
    this.#stable.observe(event);
  }

  copy(): Copy {
    return {
      id: this.#id,
      target: this.#target,
      ask: (engine, name, signal) => this.#ask(engine, name, signal),
    };
  }

  async #ask(engine: Engine, engineName: string, signal: AbortSignal): Promise<CopyAnswer> {
    // Nobody reads its probabilities or its prompt. Without a scope it takes nothing of other requests, and nothing of it is kept.
    const { logprobs: _logprobs, echo: _echo, ...request } = this.#request;
    const input: GenerateInput = {
      ...request,
      ...asCopy,
      requestId: this.#id,
      engineName,
    };
    const canary = new Tokens();
    for await (const event of engine.generate(input, signal)) canary.observe(event);
    const { temperature, seed } = request.sampling;
    const isSure = temperature === 0 || seed !== undefined;
    const { firstTokenMs: stableMs, isWhole } = this.#stable;
    const { firstTokenMs: canaryMs } = canary;
    return {
      comparison: isSure ? compareTokens(this.#stable, canary) : undefined,
      ...(canaryMs === undefined ? {} : { canaryMs }),
      ...(stableMs === undefined || canaryMs === undefined || !isWhole
        ? {}
        : { times: { stable: stableMs, canary: canaryMs } }),
    };
  }
}

/** Embeddings or classifications that stable gave. Their time is not compared: that of stable has its waiting in it. */
export const copyOfEncoding = (
  target: MirrorTarget,
  id: string,
  request: EncodeRequest,
  stable: EncodeResult,
): Copy => ({
  id,
  target,
  ask: async (engine, engineName, signal) => {
    const input = { ...request, ...asCopy, requestId: id, engineName };
    return { comparison: compareEncoded(stable, await engine.encode(input, signal)) };
  },
});
