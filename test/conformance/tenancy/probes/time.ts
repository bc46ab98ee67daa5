import { expect } from 'vitest';
import type { Probe } from '../probe.ts';
import type { Seen } from '../stage.ts';

const cachedTokens = ({ status, text }: Seen): number => {
  expect(status, text).toBe(200);
  const { usage } = JSON.parse(text) as {
    usage: { prompt_tokens_details?: { cached_tokens?: number } };
  };
  return usage.prompt_tokens_details?.cached_tokens ?? 0;
};

/** Learns from what was computed for another. */
export const time: readonly Probe[] = [
  {
    id: 'time/cached-tokens',
    tries: 'asks what the other asked before, by an adapter of the same files',
    expected: 'no token of the prompt comes from the cache; its own second request has some',
    run: async (stage) => {
      const prompt = 'the password of the victim is a b c d e f g h i j k l m n o p';
      const asked = { prompt, max_tokens: 2 };
      const headers = { 'x-adaptlet-namespace': 'team-a' };
      const victim = () =>
        stage.http({ key: stage.keys.victim, headers, body: { model: 'sauce', ...asked } });
      const own = () => stage.http({ key: stage.keys.app, body: { model: 'copy', ...asked } });
      await victim();
      expect(cachedTokens(await victim())).toBeGreaterThan(0);
      expect(cachedTokens(await own())).toBe(0);
      expect(cachedTokens(await own())).toBeGreaterThan(0);
    },
  },
];
