/** What a piece of an answer turned out to be. `text`: as the model wrote it; all of them are the answer. */
export type Piece =
  | { readonly kind: 'text'; readonly text: string }
  /** A call of a tool that there is begins. Its arguments follow. */
  | { readonly kind: 'call'; readonly name: string; readonly text: string }
  | {
      readonly kind: 'arguments';
      /** More of them, as the model wrote them, or nothing. */
      readonly arguments: string;
      /** The call is not at its end. `endless`: it ended with the answer, as nothing else ends it. */
      readonly open: boolean | 'endless';
      readonly text: string;
    };

/**
 * Finds calls in an answer, piece by piece.
 *
 * Guarantees: a call begins with the name of a tool that there is and with a `{`, and stays one; all else is text, unchanged and in its
 * place. How the answer is cut makes no difference. The work is linear in the answer's length.
 */
export type CallReader = {
  push(text: string): readonly Piece[];
  /** Nothing more comes. */
  end(): readonly Piece[];
};

/** Adds a text, unless it is empty. */
export const tell = (pieces: Piece[], text: string): void => {
  if (text !== '') pieces.push({ kind: 'text', text });
};

/** How far a call is: more is needed, `rest` follows it, or it is none, and `rest` is all that came for it. */
export type BodyStep =
  | { readonly kind: 'open'; readonly pieces: readonly Piece[] }
  | { readonly kind: 'done'; readonly pieces: readonly Piece[]; readonly rest: string }
  | { readonly kind: 'none'; readonly rest: string };

/** One call. The text before it, which is given to it when it is made, is told with it. */
export type CallBody = {
  push(text: string): BodyStep;
  /** Nothing more comes. */
  end(): Exclude<BodyStep, { kind: 'open' }>;
};
