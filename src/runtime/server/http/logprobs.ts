import type { TakenLogprob, TokenLogprob } from '../../engine/engine.ts';

/** Tokens of an answer with their log probabilities. */
export type Scored = {
  readonly tokens: readonly TakenLogprob[];
  /** Characters of the answer before the first of them. */
  readonly offset: number;
};

/** Characters that begin in these bytes of UTF-8. */
const charactersOf = ({ bytes = [] }: TokenLogprob): number =>
  bytes.filter((byte) => (byte & 0xc0) !== 0x80).length;

/** Characters of the answer up to and with these tokens. */
export const endOf = ({ tokens, offset }: Scored): number =>
  tokens.reduce((sum, token) => sum + charactersOf(token), offset);

const chatToken = ({ token, bytes, logprob }: TokenLogprob) => ({ token, logprob, bytes: bytes ?? null });

/** `logprobs` of a choice of a chat completion. */
export const chatLogprobs = ({ tokens }: Scored) => ({
  content: tokens.map((token) => ({ ...chatToken(token), top_logprobs: token.top.map(chatToken) })),
  refusal: null,
});

/** The token that was taken is always among them, so there can be one more than asked for. */
const topOf = (taken: TakenLogprob): Record<string, number> =>
  Object.fromEntries([...taken.top, taken].map(({ token, logprob }) => [token, logprob]));

/** `logprobs` of a choice of a completion. Offsets count characters of the answer, not of the prompt. */
export const completionLogprobs = ({ tokens, offset }: Scored) => {
  let end = offset;
  const offsets = tokens.map((token) => {
    const start = end;
    end += charactersOf(token);
    return start;
  });
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(topOf),
    text_offset: offsets,
  };
};
