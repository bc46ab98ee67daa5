import type { CallFormat, ChatInfo } from '../../engine/engine.ts';
import type { CallReader } from './call-reader.ts';
import { GemmaCall, gemmaMark } from './gemma-call.ts';
import { JsonCall } from './json-call.ts';
import { JsonCalls } from './json-calls.ts';
import { MarkedCalls } from './marked-calls.ts';

/** A reader of calls of tools with these names. */
type Read = (names: ReadonlySet<string>) => CallReader;

/** How models of a family write calls. */
export type Format = {
  readonly read: Read;
  /** How calls are written that have to come: around the arguments, which are JSON. */
  readonly forced: {
    readonly read: Read;
    readonly before: (name: string) => string;
    readonly after: string;
    readonly between: string;
  };
};

const hermes: Read = (names) =>
  new MarkedCalls('<tool_call>', (mark) => new JsonCall(mark, names, ['arguments'], '</tool_call>'));
const json: Read = (names) => new JsonCalls(names);

/** The texts are those that each family's chat template teaches its models. */
export const formats: Readonly<Record<CallFormat, Format>> = {
  hermes: {
    read: hermes,
    forced: {
      read: hermes,
      before: (name) => `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": `,
      after: '}\n</tool_call>',
      between: '\n',
    },
  },
  llama: {
    read: json,
    forced: {
      read: json,
      before: (name) => `{"name": ${JSON.stringify(name)}, "parameters": `,
      after: '}',
      between: '; ',
    },
  },
  gemma: {
    read: (names) => new MarkedCalls(gemmaMark, (mark) => new GemmaCall(mark, names)),
    // Its own way to write values is no JSON, which schemas are about.
    forced: {
      read: json,
      before: (name) => `{"name": ${JSON.stringify(name)}, "arguments": `,
      after: '}',
      between: '\n',
    },
  },
};

/** How a base model writes calls; undefined: it makes none, or nobody knows. */
export const formatOf = (chat: ChatInfo | undefined): Format | undefined => {
  const calls = chat?.calls ?? 'none';
  return calls === 'none' || calls === 'unknown' ? undefined : formats[calls];
};
