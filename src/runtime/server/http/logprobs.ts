import type { Echo, PromptToken, TakenLogprob, TokenLogprob } from '../../engine/engine.ts';

/** Tokens of an answer with their log probabilities. */
export type Scored = {
  readonly tokens: readonly TakenLogprob[];
  /** Characters of the text before the first of them. */
  readonly offset: number;
  /** The prompt's, which come before them. */
  readonly prompt?: readonly PromptToken[];
};

/** Characters that begin in these bytes of UTF-8. */
const charactersOf = ({ bytes = [] }: Pick<TokenLogprob, 'bytes'>): number =>
  bytes.filter((byte) => (byte & 0xc0) !== 0x80).length;

/** The first tokens of an answer, with those of the prompt where it is told. */
export const scoredFirst = (tokens: readonly TakenLogprob[], echo: Echo | undefined): Scored => ({
  tokens,
  offset: Array.from(echo?.text ?? '').length,
  ...(echo?.tokens === undefined ? {} : { prompt: echo.tokens }),
});

/** Characters of the text up to and with these tokens. */
export const endOf = ({ tokens, offset }: Scored): number =>
  tokens.reduce((sum, token) => sum + charactersOf(token), offset);

const chatToken = ({ token, bytes, logprob }: TokenLogprob) => ({ token, logprob, bytes: bytes ?? null });

/** `logprobs` of a choice of a chat completion. */
export const chatLogprobs = ({ tokens }: Scored) => ({
  content: tokens.map((token) => ({ ...chatToken(token), top_logprobs: token.top.map(chatToken) })),
  refusal: null,
});

/** The token that was taken is always among them, so there can be one more than asked for. The first of a prompt has none. */
const topOf = (token: PromptToken): Record<string, number> | null =>
  'logprob' in token
    ? Object.fromEntries([...token.top, token].map((one) => [one.token, one.logprob]))
    : null;

/**
 * `logprobs` of a choice of a completion. Offsets count characters of the text, of which the prompt is part where it is told. Its own
 * are counted from its end: a tokenizer may have put a space before it.
 */
export const completionLogprobs = ({ tokens: taken, offset, prompt = [] }: Scored) => {
  const tokens = [...prompt, ...taken];
  let end = prompt.reduce((start, token) => start - charactersOf(token), offset);
  const offsets = tokens.map((token) => {
    const start = end;
    end += charactersOf(token);
    return Math.max(0, start);
  });
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map((token) => ('logprob' in token ? token.logprob : null)),
    top_logprobs: tokens.map(topOf),
    text_offset: offsets,
  };
};
