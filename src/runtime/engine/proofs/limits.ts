import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { LengthUse } from '../onnx/lengths.ts';

/**
 * Borders up to here are crossed by running the graph; longer sequences would make a start slow. Where activations are rounded, what
 * changes at a border could be as small as the rounding.
 */
const nearTokens = { exact: 64, rounded: 1 } as const;

/** What a decoder graph may do, as far as following its lengths shows. */
export type Limits = {
  /** Rows of different lengths can share steps, if running them does not show otherwise. */
  readonly together: boolean;
  /** Tokens of prompt and answer up to which answers are shown to be right. */
  readonly maxTokens: number;
  /** Lengths that the proof by running has to cross. */
  readonly near: readonly number[];
  /** The smallest window of attention that is not crossed so, and that requests can leave. */
  readonly farWindow: number | undefined;
  /** What is not allowed, and why. A sentence each. */
  readonly reasons: readonly string[];
};

const listed = (what: readonly string[]): string =>
  what.length > 3 ? `${what.slice(0, 3).join(', ')} and ${what.length - 3} more` : what.join(', ');

/**
 * A graph that is not told the lengths of rows takes one sequence, or sees rows of one length, of which the mask hides a part: what
 * it makes of that is shown by running it.
 * @throws MODEL_UNSUPPORTED where it cannot be known at what lengths a graph changes what it computes
 */
export const limitsOf = (
  use: LengthUse,
  model: {
    /** Attention is told how many tokens each row has, and has to be all that is. */
    readonly told: boolean;
    readonly contextLength: number;
    /** Activations, to 8 bits. */
    readonly rounds: boolean;
    /** Tokens above which the model has other positions, where its graph does not have them. */
    readonly shortPositions?: number | undefined;
    /** Tokens that attention looks back at most, as the configuration of the model says. */
    readonly window?: number | undefined;
  },
): Limits => {
  if (use.chosen.length > 0) {
    throw new AdaptletError(
      'MODEL_UNSUPPORTED',
      `The graph computes different things for different requests, and it cannot be shown when: ${listed(use.chosen)}`,
    );
  }
  const { told, contextLength, rounds, shortPositions = Infinity, window = Infinity } = model;
  const isNear = (border: number): boolean => border <= nearTokens[rounds ? 'rounded' : 'exact'];
  const near = use.borders.filter(isNear);
  const far = use.borders.find((border) => !isNear(border)) ?? Infinity;
  // What is added to a length before it is compared moves the border by as much.
  const shown = Math.max(1, far - 1 - near.reduce((sum, border) => sum + border, 0));
  const reasons: string[] = [];
  const together = !told || use.mixed.length === 0;
  if (!together) {
    reasons.push(
      `requests run one by one: an answer could depend on the requests beside it, as ${listed(use.mixed)}`,
    );
  }
  if (shown < contextLength) {
    reasons.push(
      `requests of more than ${shown} tokens are refused: the graph compares lengths with ${far}, and it cannot be shown that a request in pieces is answered as at once beyond it`,
    );
  }
  if (shortPositions < Math.min(shown, contextLength)) {
    reasons.push(
      `requests of more than ${shortPositions} tokens are refused: the model has other positions for them (LongRoPE), and its graph does not choose them in a form that is known`,
    );
  }
  const looksBack = [...use.windows, ...use.borders].includes(window) ? Infinity : window;
  if (looksBack < Math.min(shown, contextLength)) {
    reasons.push(
      `requests of more than ${looksBack} tokens are refused: the model looks back ${looksBack} tokens, and its graph has no such window`,
    );
  }
  const positions = use.positions ?? Infinity;
  if (positions < Math.min(shown, shortPositions, looksBack, contextLength)) {
    reasons.push(`requests of more than ${positions} tokens are refused: the graph has no more positions`);
  }
  const maxTokens = Math.min(contextLength, shown, shortPositions, looksBack, positions);
  const isFar = (tokens: number): boolean => tokens > nearTokens.exact && tokens < maxTokens;
  return {
    together,
    maxTokens,
    near: [...near, ...use.windows.filter((tokens) => tokens <= nearTokens.exact)].filter(
      (border) => border < contextLength,
    ),
    farWindow: use.windows.find(isFar),
    reasons,
  };
};
